// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <Kokkos_Core.hpp>

#include <gshard/core/bfloat16.hpp>
#include <gshard/core/error.hpp>
#include <gshard/core/launch.hpp>
#include <gshard/tensor/element.hpp>
#include <gshard/tensor/layout.hpp>
#include <gshard/tensor/local_view.hpp>
#include <gshard/tensor/mistakes.hpp>
#include <gshard/tensor/tensor_state.hpp>

namespace gshard {

/// Tag type of `uninitialized`.
struct Uninitialized {};
/// Selects the constructor of ShardedTensor that leaves the elements unset.
inline constexpr Uninitialized uninitialized{};

/// Handle of a tensor that is distributed over the ranks of a mesh as `Spec` states.
/// Copies share the elements; `copy` (expr/) makes new ones. Dimensions count from 0, or from -1 (the last) downwards.
///
/// Storage: each rank holds one block, packed, LayoutRight, without padding. Blocks can be empty. Constructors allocate
/// the block from the memory pool of the runtime.
/// Communication: none, neither in constructors nor in other members.
/// Unset tensors: a default-constructed or moved-from tensor is unset. Its `is_set` and `is_sole_owner` return false,
/// `mesh` an unset mesh, `extents` no extents, `name` an empty name, `data` and `handle` null. All other members throw
/// StateError, as does every operation that receives an unset tensor.
template <class Mesh, class Spec, class T = float, class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
class ShardedTensor {
 public:
  using mesh_type = Mesh;
  using spec_type = Spec;
  using value_type = T;
  using memory_space = MemorySpace;
  using execution_space = typename MemorySpace::execution_space;
  /// Type of `local()`: a Kokkos::View of `rank` dimensions, LayoutRight.
  using view_type = detail::LocalView<T, Spec::rank, MemorySpace>;

  /// Number of dimensions.
  static constexpr int rank = Spec::rank;
  /// Mesh axes that split each dimension, and partial axes, as positions in the mesh.
  static constexpr Layout layout = layout_of<Mesh, Spec>;
  /// Extents that the type fixes; `dynamic_extent` where it does not.
  static constexpr Extents static_extents = Spec::static_extents();
  static_assert(layout_of<Mesh, Spec>.rank() == rank, "gshard: the spec does not fit the mesh");

  /// Largest size of a tensor over all ranks, in bytes: 2^62. Extents of 0 count as 1.
  static constexpr std::int64_t max_bytes = detail::max_tensor_bytes;

  /// Makes an unset tensor, to be assigned to later.
  ShardedTensor() = default;

  /// Makes a tensor of zeros with the given global extents, as in
  /// `ShardedTensor<Grid, Spec<"data", _>> x(grid, {rows, columns})`.
  /// `name` appears in error messages and pictures. Does not compile if the number of extents is not `rank`.
  /// Throws ExtentError if an extent is negative or contradicts the type, or the tensor exceeds `max_bytes`.
  /// Throws StateError if the mesh is unset.
  /// Throws MeshError if AbstractSpace is combined with the mesh of a Runtime, or other memory with an AbstractRuntime.
  /// Throws MemoryError if the block cannot be allocated. If that happens on some ranks only, `run` ends the job.
  template <std::size_t Count>
  ShardedTensor(Mesh const& mesh, std::int64_t const (&extents)[Count], std::string_view name = {})
      : ShardedTensor(uninitialized, mesh, counted(extents), name) {
    set_to_zero();
  }

  /// Does the same with a list of extents. Throws ExtentError also if their number is not `rank`.
  ShardedTensor(Mesh const& mesh, Extents const& extents, std::string_view name = {})
      : ShardedTensor(uninitialized, mesh, extents, name) {
    set_to_zero();
  }

  /// Makes a tensor of zeros whose extents are all fixed by the type, as those of a scalar (rank 0) are.
  explicit ShardedTensor(Mesh const& mesh, std::string_view name = {})
    requires(!static_extents.contains(dynamic_extent))
      : ShardedTensor(mesh, static_extents, name) {}

  /// Converts a tensor whose spec differs in its fixed extents only. Shares the elements.
  /// Does not compile if the two specs fix different extents.
  /// Throws ExtentError if the extents of `other` contradict those that `Spec` fixes.
  template <class OtherSpec>
    requires(!std::is_same_v<OtherSpec, Spec> && layout_of<Mesh, OtherSpec> == layout_of<Mesh, Spec>)
  ShardedTensor(ShardedTensor<Mesh, OtherSpec, T, MemorySpace> const& other) : state_(other.state_) {
    if (is_set()) checked(extents(), name());
    using Mistake = detail::ExtentsMistake<OtherSpec, Spec>;
    if constexpr (!std::is_void_v<Mistake>) {
      using Refused [[maybe_unused]] = decltype(Mistake{});
    }
  }

  /// Rejects every other conversion at compile time, since conversions do not communicate.
  /// The message names the first difference of: mesh type, memory space, element type, rank, layout.
  template <class OtherMesh, class OtherSpec, class OtherT, class OtherSpace>
    requires(!detail::same_but_extents<ShardedTensor<OtherMesh, OtherSpec, OtherT, OtherSpace>, ShardedTensor>)
  ShardedTensor(ShardedTensor<OtherMesh, OtherSpec, OtherT, OtherSpace> const&) {
    using Refused [[maybe_unused]] =
        decltype(detail::ConversionMistake<ShardedTensor<OtherMesh, OtherSpec, OtherT, OtherSpace>, ShardedTensor>{});
  }

  /// Makes a tensor with unset elements. Throws as the constructors above.
  ShardedTensor(Uninitialized, Mesh const& mesh, Extents const& extents, std::string_view name = {})
      : state_(detail::new_tensor<MemorySpace>(type, mesh.shared_state(), extents, name)) {}

  /// Returns a tensor on the same mesh with another spec and other extents that shares this tensor's storage.
  /// Throws ExtentError if the extents do not fit `OtherSpec`, or this rank's two blocks have different sizes.
  template <class OtherSpec>
  ShardedTensor<Mesh, OtherSpec, T, MemorySpace> reinterpreted(Extents const& extents) const {
    return reinterpreted<OtherSpec>(mesh(), extents);
  }

  /// Does the same on another mesh.
  /// Precondition: both meshes have the same ranks.
  template <class OtherSpec, class OtherMesh>
  ShardedTensor<OtherMesh, OtherSpec, T, MemorySpace> reinterpreted(OtherMesh const& mesh,
                                                                    Extents const& extents) const {
    using Other = ShardedTensor<OtherMesh, OtherSpec, T, MemorySpace>;
    return Other(detail::reinterpreted_tensor(state("reinterpreted"), Other::type, mesh.shared_state(), extents));
  }

  /// Returns the mesh; an unset mesh if the tensor is unset.
  Mesh mesh() const { return is_set() ? Mesh(state_->mesh) : Mesh(); }
  /// Returns the run-time state of the mesh.
  detail::MeshState const& mesh_state() const { return *state("mesh").mesh; }
  /// Returns the memory pool of the runtime, which also gives access to the ledger.
  MemoryPool& memory() const { return mesh_state().memory(); }

  /// Returns whether the handle refers to a tensor; false if default-constructed or moved from.
  bool is_set() const { return state_ != nullptr; }

  /// Returns the global extents; none if the tensor is unset.
  Extents const& extents() const { return is_set() ? state_->extents : detail::no_extents; }
  /// Returns the global extent of `dimension`.
  /// Throws ExtentError if the tensor has no such dimension, as do `local_extent` and `range`.
  std::int64_t extent(int dimension) const { return extents()[known(dimension)]; }
  /// Returns the global number of elements.
  std::int64_t size() const { return product(state("size").extents); }

  /// Returns the extents of this rank's block.
  Extents const& local_extents() const { return block().extents; }
  /// Returns the extent of `dimension` in this rank's block.
  std::int64_t local_extent(int dimension) const { return block().extents[known(dimension)]; }
  /// Returns the number of elements of this rank's block.
  std::int64_t local_size() const { return state("block").local_size; }

  /// Returns the global indices of `dimension` in this rank's block.
  Range range(int dimension) const {
    int const d = known(dimension);
    return {block().offsets[d], block().offsets[d] + block().extents[d]};
  }
  /// Returns this rank's block as a box of global indices.
  detail::Block const& block() const { return state("block").block; }

  /// Returns this rank's block as an unmanaged Kokkos view, valid while a handle of this tensor exists. Does not
  /// compile for a temporary, nor do `flat` and `data`: `eval(x + y).local()` would be a view of memory that is free.
  /// Indices are local: `local()(0, 0)` is the element at the global indices (range(0).begin, range(1).begin).
  /// Elements of other ranks are out of bounds; a view checks bounds in debug builds of Kokkos only. `at` takes global
  /// indices and checks them.
  view_type local() const& { return detail::local_view<T, rank, MemorySpace>(data(), block().extents); }
  template <class Used = Spec>
  view_type local() const&& {
    return refuse_temporary<Used>().local();
  }

  /// Does not compile. The message names the ways to read elements: `at`, `local`, `to_vector`.
  template <class... Indices>
  T operator()(Indices const&...) const {
    using Refused [[maybe_unused]] = decltype(error::TensorIsIndexed<Spec, Indices...>{});
    return {};
  }

  /// Returns this rank's block as a view of rank 1, in row-major order.
  detail::LocalView<T, 1, MemorySpace> flat() const& {
    return detail::local_view<T, 1, MemorySpace>(data(), {local_size()});
  }
  template <class Used = Spec>
  detail::LocalView<T, 1, MemorySpace> flat() const&& {
    return refuse_temporary<Used>().flat();
  }
  /// Returns a pointer to the first element of the block; null if the tensor is unset or the block is empty.
  T* data() const& { return is_set() ? state_->template elements<T>() : nullptr; }
  template <class Used = Spec>
  T* data() const&& {
    return refuse_temporary<Used>().data();
  }

  /// Returns whether this rank holds the element at the given global indices.
  /// Does not compile for an unreduced sum, or if the number of indices is not `rank`.
  /// Throws IndexError, on all ranks, if the tensor has no such element.
  template <std::integral... Indices>
  bool holds(Indices... indices) const {
    Extents const index = element(indices...);
    return detail::local_position(block(), index) >= 0;
  }

  /// Returns a copy of the element at the given global indices; 0 in AbstractSpace.
  /// Fences the kernels on the memory space and copies one element to the host: for tests and output, not for loops.
  /// Does not compile for an unreduced sum, or if the number of indices is not `rank`.
  /// Throws IndexError, on all ranks, if the tensor has no such element.
  /// Throws IndexError, on this rank, if another rank holds the element. The message names that rank.
  template <std::integral... Indices>
  T at(Indices... indices) const {
    Extents const index = element(indices...);
    std::int64_t const position = detail::local_position(block(), index);
    if (position < 0) detail::refuse_element(name(), layout, extents(), index, mesh_state());
    T value{};
    detail::copy_to_host<MemorySpace>(&value, data() + position, 1);
    return value;
  }

  /// Returns whether this is the only handle of the elements. False if the tensor is unset or the block is empty.
  bool is_sole_owner() const { return detail::is_sole_owner(state_); }

  /// Returns the name given at construction, which may be empty.
  std::string const& name() const { return is_set() ? state_->name : detail::no_name; }

  /// Run-time description of this type, for functions that are compiled once for all layouts.
  static constexpr detail::TensorType type{layout, static_extents, Mesh::names, sizeof(T)};
  /// Returns the handle without its compile-time type; null if the tensor is unset.
  detail::TensorHandle const& handle() const { return state_; }
  detail::TensorHandle& handle() { return state_; }

  /// Wraps a handle without a compile-time type.
  /// Precondition: the tensor has this type's mesh, layout, element type and memory space, or the handle is null.
  explicit ShardedTensor(detail::TensorHandle handle) : state_(std::move(handle)) {}

  /// Returns `extents`. Throws ExtentError, naming `name`, if a tensor of this type cannot have them.
  static Extents const& checked(Extents const& extents, std::string_view name) {
    return detail::checked_extents(type, extents, name);
  }

 private:
  template <class, class, class, class>
  friend class ShardedTensor;

  /// Does not compile. Returns the tensor, so that no further errors follow.
  template <class Used>
  ShardedTensor const& refuse_temporary() const {
    using Refused [[maybe_unused]] = decltype(error::ElementsOfTemporary<Used>{});
    return *this;
  }

  /// Returns the state. Throws StateError if the tensor is unset; `asked` names the query in the message.
  detail::TensorState const& state(char const* asked) const {
    if (!is_set()) detail::refuse_unset_tensor(type, asked);
    return *state_;
  }

  /// Returns `dimension` counted from 0. Throws ExtentError if the tensor has no such dimension.
  int known(int dimension) const { return detail::known_dimension(state("extent"), dimension); }

  /// Returns the extents as a list. Does not compile if their number is not `rank`.
  template <std::size_t Count>
  static Extents counted(std::int64_t const (&extents)[Count]) {
    if constexpr (static_cast<int>(Count) != rank)
      using Refused [[maybe_unused]] = decltype(error::TensorExtentsCount<static_cast<int>(Count), rank>{});
    Extents result;
    for (std::int64_t extent : extents) result.push_back(extent);
    return result;
  }

  /// Returns the global indices as a list. Throws IndexError if the tensor has no such element.
  template <class... Indices>
  Extents element(Indices... indices) const {
    if constexpr (sizeof...(Indices) != rank) {
      using Refused [[maybe_unused]] = decltype(error::ElementIndices<static_cast<int>(sizeof...(Indices)), rank>{});
      return {};
    } else if constexpr (!layout.partial.empty()) {
      using Refused [[maybe_unused]] = decltype(error::ElementOfPartial<ShardedTensor>{});
      return {};
    } else {
      Extents const index{static_cast<std::int64_t>(indices)...};
      detail::require_element(name(), state("element").extents, index, mesh_state());
      return index;
    }
  }

  void set_to_zero() { detail::fill_elements<MemorySpace>(data(), local_size(), T{}); }

  detail::TensorHandle state_;
};

namespace detail {

template <class Type>
inline constexpr bool is_sharded_tensor = false;
template <class Mesh, class Spec, class T, class MemorySpace>
inline constexpr bool is_sharded_tensor<ShardedTensor<Mesh, Spec, T, MemorySpace>> = true;

}  // namespace detail

/// Satisfied by every ShardedTensor, also const or by reference.
template <class Type>
concept AnyTensor = detail::is_sharded_tensor<std::remove_cvref_t<Type>>;

/// Tensor type that differs from `Tensor` in its spec only.
template <AnyTensor Tensor, class Spec>
using with_spec =
    ShardedTensor<typename Tensor::mesh_type, Spec, typename Tensor::value_type, typename Tensor::memory_space>;

namespace detail {

/// Defines with_layout. A class template, because GCC 12 fails on an alias of an alias with a layout.
template <class Tensor, Layout Value>
struct WithLayout {
  using type = with_spec<Tensor, spec_of<typename Tensor::mesh_type, Value>>;
};

}  // namespace detail

/// Tensor type that differs from `Tensor` in its layout only; its spec fixes no extents.
template <AnyTensor Tensor, Layout Value>
using with_layout = typename detail::WithLayout<Tensor, Value>::type;

namespace detail {

/// Tensor type in which elements of `Tensor` are computed and summed: float for BFloat16, else the same type.
template <AnyTensor Tensor>
using Widened = ShardedTensor<typename Tensor::mesh_type, typename Tensor::spec_type,
                              Computed<typename Tensor::value_type>, typename Tensor::memory_space>;

}  // namespace detail

}  // namespace gshard
