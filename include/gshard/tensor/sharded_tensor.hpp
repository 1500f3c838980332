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

/// Asks for a tensor whose elements are not set.
struct Uninitialized {};
inline constexpr Uninitialized uninitialized{};

/// A tensor spread over the ranks of a mesh as `Spec` says. A handle: copies share the elements; `copy` (expr/) makes
/// new ones. `local()` is this rank's block, packed, LayoutRight, without padding; blocks can be empty. Constructing
/// allocates from the runtime's pool and communicates nothing. Dimensions may be counted from the end: -1 is the last.
///
/// A default-constructed tensor and one that was moved from are unset: extents, blocks and elements of them throw
/// StateError, as does every operation that is given one. Constructors throw StateError where the mesh is unset.
template <class Mesh, class Spec, class T = float, class MemorySpace = Kokkos::DefaultExecutionSpace::memory_space>
class ShardedTensor {
 public:
  using mesh_type = Mesh;
  using spec_type = Spec;
  using value_type = T;
  using memory_space = MemorySpace;
  using execution_space = typename MemorySpace::execution_space;
  using view_type = detail::LocalView<T, Spec::rank, MemorySpace>;

  static constexpr int rank = Spec::rank;
  static constexpr Layout layout = layout_of<Mesh, Spec>;
  /// The extents as far as the type fixes them, `dynamic_extent` elsewhere.
  static constexpr Extents static_extents = Spec::static_extents();
  static_assert(layout_of<Mesh, Spec>.rank() == rank, "gshard: the spec does not fit the mesh");

  /// The largest size of a tensor over all ranks, in bytes.
  static constexpr std::int64_t max_bytes = detail::max_tensor_bytes;

  /// No tensor: only to be assigned to.
  ShardedTensor() = default;

  /// A tensor of zeros with these global extents, as in `ShardedTensor<Grid, Spec<"data", _>> x(grid, {rows,
  /// columns})`. Throws ExtentError where an extent is negative or the tensor has more than `max_bytes` bytes, and
  /// MemoryError where the block cannot be had; where that happens on some ranks only, `run` ends the job.
  template <std::size_t Count>
  ShardedTensor(Mesh const& mesh, std::int64_t const (&extents)[Count], std::string_view name = {})
      : ShardedTensor(uninitialized, mesh, counted(extents), name) {
    set_to_zero();
  }

  ShardedTensor(Mesh const& mesh, Extents const& extents, std::string_view name = {})
      : ShardedTensor(uninitialized, mesh, extents, name) {
    set_to_zero();
  }

  /// A tensor of zeros whose extents are all fixed by its type, as those of a scalar are.
  explicit ShardedTensor(Mesh const& mesh, std::string_view name = {})
    requires(!static_extents.contains(dynamic_extent))
      : ShardedTensor(mesh, static_extents, name) {}

  /// The same tensor, with other extents fixed by the type, or none. Throws ExtentError where the extents are others.
  template <class OtherSpec>
    requires(!std::is_same_v<OtherSpec, Spec> && layout_of<Mesh, OtherSpec> == layout_of<Mesh, Spec>)
  ShardedTensor(ShardedTensor<Mesh, OtherSpec, T, MemorySpace> const& other) : state_(other.state_) {
    if (is_set()) checked(extents(), name());
    using Mistake = detail::ExtentsMistake<OtherSpec, Spec>;
    if constexpr (!std::is_void_v<Mistake>) {
      using Refused [[maybe_unused]] = decltype(Mistake{});
    }
  }

  /// No tensor becomes one of other mesh, layout, elements or memory unseen: says which of them differs, and does not
  /// compile.
  template <class OtherMesh, class OtherSpec, class OtherT, class OtherSpace>
    requires(!detail::same_but_extents<ShardedTensor<OtherMesh, OtherSpec, OtherT, OtherSpace>, ShardedTensor>)
  ShardedTensor(ShardedTensor<OtherMesh, OtherSpec, OtherT, OtherSpace> const&) {
    using Refused [[maybe_unused]] =
        decltype(detail::ConversionMistake<ShardedTensor<OtherMesh, OtherSpec, OtherT, OtherSpace>, ShardedTensor>{});
  }

  ShardedTensor(Uninitialized, Mesh const& mesh, Extents const& extents, std::string_view name = {})
      : state_(detail::new_tensor<MemorySpace>(type, mesh.shared_state(), extents, name)) {}

  /// A tensor of the same mesh and other layout or extents that shares this one's storage. Throws ExtentError where the
  /// local blocks have different sizes.
  template <class OtherSpec>
  ShardedTensor<Mesh, OtherSpec, T, MemorySpace> reinterpreted(Extents const& extents) const {
    return reinterpreted<OtherSpec>(mesh(), extents);
  }

  /// As above, on another mesh over the same ranks.
  template <class OtherSpec, class OtherMesh>
  ShardedTensor<OtherMesh, OtherSpec, T, MemorySpace> reinterpreted(OtherMesh const& mesh,
                                                                    Extents const& extents) const {
    using Other = ShardedTensor<OtherMesh, OtherSpec, T, MemorySpace>;
    return Other(detail::reinterpreted_tensor(state("reinterpreted"), Other::type, mesh.shared_state(), extents));
  }

  Mesh mesh() const { return is_set() ? Mesh(state_->mesh) : Mesh(); }
  /// What the mesh knows at run time. Throws StateError where the tensor is unset.
  detail::MeshState const& mesh_state() const { return *state("mesh").mesh; }
  /// The pool and the ledger of the runtime. Throws StateError where the tensor is unset.
  MemoryPool& memory() const { return mesh_state().memory(); }

  /// Whether this is a handle of some tensor, which a default-constructed or moved-from one is not.
  bool is_set() const { return state_ != nullptr; }

  /// Global extents.
  Extents const& extents() const { return is_set() ? state_->extents : detail::no_extents; }
  /// The global extent of a dimension. Throws ExtentError where there is no such dimension, as local_extent and range
  /// do.
  std::int64_t extent(int dimension) const { return extents()[known(dimension)]; }
  std::int64_t size() const { return product(state("size").extents); }

  /// This rank's block.
  Extents const& local_extents() const { return block().extents; }
  std::int64_t local_extent(int dimension) const { return block().extents[known(dimension)]; }
  std::int64_t local_size() const { return state("block").local_size; }

  /// The global indices of `dimension` that this rank holds.
  Range range(int dimension) const {
    int const d = known(dimension);
    return {block().offsets[d], block().offsets[d] + block().extents[d]};
  }
  detail::Block const& block() const { return state("block").block; }

  /// This rank's block as a plain Kokkos view, valid as long as some handle of this tensor. Its indices are local:
  /// local()(0, 0) is the element at the global indices range(0).begin, range(1).begin, and elements that other ranks
  /// hold are out of its bounds, which a view does not check. `at` takes global indices, and checks them.
  view_type local() const { return detail::local_view<T, rank, MemorySpace>(data(), block().extents); }

  /// A compile error that says how elements are read.
  template <class... Indices>
  T operator()(Indices const&...) const {
    using Refused [[maybe_unused]] = decltype(error::TensorIsIndexed<Spec, Indices...>{});
    return {};
  }

  /// The block's elements in a row.
  detail::LocalView<T, 1, MemorySpace> flat() const {
    return detail::local_view<T, 1, MemorySpace>(data(), {local_size()});
  }
  /// The first element of the block; null where the tensor is unset.
  T* data() const { return is_set() ? state_->template elements<T>() : nullptr; }

  /// Returns whether this rank holds the element at these global indices. Throws IndexError, on all ranks, where the
  /// tensor has no such element.
  template <std::integral... Indices>
  bool holds(Indices... indices) const {
    Extents const index = element(indices...);
    return detail::local_position(block(), index) >= 0;
  }

  /// Returns a copy of the element at these global indices, which this rank holds. Waits for kernels on the tensor's
  /// memory and copies one element to the host: for tests and output, not for loops. No communication. Throws
  /// IndexError where the tensor has no such element, and, naming the rank that has it, where this rank does not hold
  /// it.
  template <std::integral... Indices>
  T at(Indices... indices) const {
    Extents const index = element(indices...);
    std::int64_t const position = detail::local_position(block(), index);
    if (position < 0) detail::refuse_element(name(), layout, extents(), index, mesh_state());
    T value{};
    detail::copy_to_host<MemorySpace>(&value, data() + position, 1);
    return value;
  }

  /// Whether no other handle shares the elements.
  bool is_sole_owner() const { return detail::is_sole_owner(state_); }

  std::string const& name() const { return is_set() ? state_->name : detail::no_name; }

  /// What the type says, and the tensor without its type, for functions that are compiled once for all layouts.
  static constexpr detail::TensorType type{layout, static_extents, Mesh::names, sizeof(T)};
  detail::TensorHandle const& handle() const { return state_; }
  detail::TensorHandle& handle() { return state_; }

  /// The tensor of a handle, which has this layout and elements of type T in this memory space.
  explicit ShardedTensor(detail::TensorHandle handle) : state_(std::move(handle)) {}

  /// The extents. Throws ExtentError where a tensor of this type cannot have them.
  static Extents const& checked(Extents const& extents, std::string_view name) {
    return detail::checked_extents(type, extents, name);
  }

 private:
  template <class, class, class, class>
  friend class ShardedTensor;

  /// Throws StateError where the tensor is unset.
  detail::TensorState const& state(char const* asked) const {
    if (!is_set()) detail::refuse_unset_tensor(type, asked);
    return *state_;
  }

  int known(int dimension) const { return detail::known_dimension(state("extent"), dimension); }

  template <std::size_t Count>
  static Extents counted(std::int64_t const (&extents)[Count]) {
    if constexpr (static_cast<int>(Count) != rank)
      using Refused [[maybe_unused]] = decltype(error::TensorExtentsCount<static_cast<int>(Count), rank>{});
    Extents result;
    for (std::int64_t extent : extents) result.push_back(extent);
    return result;
  }

  /// The global indices of an element, which the tensor has.
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

/// A ShardedTensor of any kind.
template <class Type>
concept AnyTensor = detail::is_sharded_tensor<std::remove_cvref_t<Type>>;

/// The tensor type that differs from `Tensor` in its spec only.
template <AnyTensor Tensor, class Spec>
using with_spec =
    ShardedTensor<typename Tensor::mesh_type, Spec, typename Tensor::value_type, typename Tensor::memory_space>;

namespace detail {

/// A class template, since GCC 12 breaks down at an alias of an alias with a layout.
template <class Tensor, Layout Value>
struct WithLayout {
  using type = with_spec<Tensor, spec_of<typename Tensor::mesh_type, Value>>;
};

}  // namespace detail

/// The tensor type that differs from `Tensor` in its layout only.
template <AnyTensor Tensor, Layout Value>
using with_layout = typename detail::WithLayout<Tensor, Value>::type;

namespace detail {

/// The tensor type in which elements of `Tensor` are computed with and added up: float for BFloat16, else the same.
template <AnyTensor Tensor>
using Widened = ShardedTensor<typename Tensor::mesh_type, typename Tensor::spec_type,
                              Computed<typename Tensor::value_type>, typename Tensor::memory_space>;

}  // namespace detail

}  // namespace gshard
