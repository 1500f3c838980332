// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <gshard/core/error.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/mesh/mesh_state.hpp>
#include <gshard/tensor/layout.hpp>

// Run-time state of tensors, common to all tensor types.

namespace gshard::detail {

/// Largest size of a tensor over all ranks, in bytes. Keeps offsets and block boundaries within 64 bits.
inline constexpr std::int64_t max_tensor_bytes = std::int64_t{1} << 62;

/// Run-time description of a tensor type.
struct TensorType {
  Layout layout;
  Extents static_extents;  ///< `dynamic_extent` where the type fixes none
  std::span<std::string_view const> axis_names;
  std::size_t element_bytes;

  /// Returns the type of a tensor in another layout that fixes no extents.
  constexpr TensorType with_layout(Layout const& other) const {
    TensorType type{other, {}, axis_names, element_bytes};
    for (int dimension = 0; dimension < other.rank(); ++dimension) type.static_extents.push_back(dynamic_extent);
    return type;
  }
};

/// Returns the size in bytes, for messages: a double does not overflow. Extents of 0 count as 1.
inline double approximate_bytes(Extents const& extents, std::size_t element_bytes) {
  double bytes = static_cast<double>(element_bytes);
  for (std::int64_t extent : extents) bytes *= extent == 0 ? 1.0 : static_cast<double>(extent);
  return bytes;
}

/// Returns whether a tensor of type `type` can have the extents.
inline bool has_valid_extents(TensorType const& type, Extents const& extents) {
  if (extents.size() != type.layout.rank()) return false;
  bool is_valid = true;
  std::int64_t const* fixed = type.static_extents.begin();
  for (std::int64_t extent : extents) {
    is_valid = is_valid && extent >= 0 && (*fixed == dynamic_extent || *fixed == extent);
    ++fixed;
  }
  return is_valid && fits(extents, max_tensor_bytes / static_cast<std::int64_t>(type.element_bytes));
}

/// Throws ExtentError about extents that a tensor of type `type` cannot have.
[[noreturn, gnu::cold]] inline void refuse_extents(TensorType const& type, Extents const& extents,
                                                   std::string_view name) {
  int const rank = type.layout.rank();
  if (extents.size() != rank)
    throw ExtentError(concat("tensor '", name, "' with spec ", text_of(type.layout, type.axis_names), " has ", rank,
                             " dimensions, but got extents ", text_of(extents)));
  for (int dimension = 0; dimension < rank; ++dimension) {
    std::int64_t const fixed = type.static_extents[dimension];
    if (fixed != dynamic_extent && extents[dimension] != fixed)
      throw ExtentError(concat("tensor '", name, "' of extents ", text_of(extents), ": the type fixes dimension ",
                               dimension, " at ", fixed));
    if (extents[dimension] < 0)
      throw ExtentError(concat("tensor '", name, "' of extents ", text_of(extents), ": dimension ", dimension,
                               " is negative; give 0 or more"));
  }
  throw ExtentError(concat("tensor '", name, "' of extents ", text_of(extents), " and ", type.element_bytes,
                           " bytes an element has ", approximate_bytes(extents, type.element_bytes),
                           " bytes, more than 2^62 bytes; extents of 0 count as 1 here"));
}

/// Returns the extents.
/// Throws ExtentError if their number is not the rank, one is negative or contradicts the type, or the tensor has more
/// than 2^62 bytes.
inline Extents const& checked_extents(TensorType const& type, Extents const& extents, std::string_view name) {
  if (!has_valid_extents(type, extents)) refuse_extents(type, extents, name);
  return extents;
}

/// Run-time state of a tensor. Shared by all its handles; immutable once a handle exists.
struct TensorState {
  /// Checks the extents and computes this rank's block.
  /// Throws ExtentError if a tensor of this type cannot have the extents, StateError if the mesh is unset.
  TensorState(TensorType const& type, std::shared_ptr<MeshState const> of_mesh, Extents const& of_extents,
              std::string_view of_name, std::shared_ptr<void> of_storage = {})
      : mesh(std::move(of_mesh)),
        name(of_name),
        layout(type.layout),
        extents(checked_extents(type, of_extents, of_name)),
        axis_names(type.axis_names),
        element_bytes(type.element_bytes),
        storage(std::move(of_storage)) {
    if (!mesh)
      throw StateError(concat("tensor '", name, "' of extents ", text_of(extents),
                              ": its mesh is unset; make the mesh from a Runtime first"));
    block = block_of(layout, extents, *mesh, mesh->coordinates());
    local_size = product(block.extents);
  }

  /// Returns a pointer to the first element of the block; null if the block is empty.
  /// Precondition: `T` is the element type of the tensor.
  template <class T>
  T* elements() const {
    return static_cast<T*>(storage.get());
  }

  /// Returns the type of a tensor in the same layout, with elements of `bytes` bytes, that fixes no extents.
  TensorType type_with(std::size_t bytes) const { return TensorType{{}, {}, axis_names, bytes}.with_layout(layout); }

  /// Returns the size of the block in bytes.
  std::int64_t local_bytes() const { return local_size * static_cast<std::int64_t>(element_bytes); }

  std::shared_ptr<MeshState const> mesh;
  std::string name;
  Layout layout;
  Extents extents;
  std::span<std::string_view const> axis_names;
  std::size_t element_bytes;
  Block block;                    ///< of this rank
  std::int64_t local_size = 0;    ///< elements of the block
  std::shared_ptr<void> storage;  ///< null if the block is empty
};

/// Handle of a tensor without its compile-time type, for functions compiled once for all layouts. Null if unset.
using TensorHandle = std::shared_ptr<TensorState const>;

/// Returns whether this is the only handle of the elements.
/// False for a null handle, and for an empty block, which has no storage.
inline bool is_sole_owner(TensorHandle const& tensor) {
  return tensor.use_count() == 1 && tensor->storage.use_count() == 1;
}

/// Operands of an operation, in order.
using HandleList = std::span<TensorHandle const* const>;

/// Returns a new tensor with unset elements.
/// Throws ExtentError and StateError as TensorState does.
/// Throws MeshError if exactly one of memory space and mesh is abstract, MemoryError if the block cannot be allocated.
template <class MemorySpace>
TensorHandle new_tensor(TensorType const& type, std::shared_ptr<MeshState const> const& mesh, Extents const& extents,
                        std::string_view name) {
  auto state = std::make_shared<TensorState>(type, mesh, extents, name);
  std::size_t const bytes = static_cast<std::size_t>(state->local_size) * type.element_bytes;
  try {
    state->storage = mesh->memory().template allocate<MemorySpace>(bytes);
  } catch (MemoryError const& error) {
    throw MemoryError(concat("tensor '", name, "' with spec ", text_of(type.layout, type.axis_names), " of extents ",
                             text_of(extents), " needs ", bytes, " bytes on rank ", mesh->rank(), " of mesh (",
                             mesh->text(), "): ", error.what()));
  }
  return state;
}

/// Returns a new tensor with the mesh, layout and extents of `other` and unset elements of type `T`.
template <class MemorySpace, class T>
TensorHandle new_tensor_like(TensorState const& other) {
  return new_tensor<MemorySpace>(other.type_with(sizeof(T)), other.mesh, other.extents, {});
}

/// Returns a tensor of another type that shares the storage of `from`.
/// Throws ExtentError if the local blocks have different sizes.
inline TensorHandle reinterpreted_tensor(TensorState const& from, TensorType const& type,
                                         std::shared_ptr<MeshState const> const& mesh, Extents const& extents) {
  auto state = std::make_shared<TensorState const>(type, mesh, extents, from.name, from.storage);
  if (state->local_size != from.local_size)
    throw ExtentError(concat("tensor '", from.name, "' ", text_of(from.extents), " reinterpreted as ", text_of(extents),
                             ": the blocks of rank ", mesh->rank(), " have ", from.local_size, " and ",
                             state->local_size, " elements"));
  return state;
}

/// Throws StateError about an unset tensor; `asked` names the query.
[[noreturn, gnu::cold]] inline void refuse_unset_tensor(TensorType const& type, char const* asked) {
  throw StateError(concat(asked, " of a tensor with spec ", text_of(type.layout, type.axis_names),
                          " that is unset (default-constructed or moved from); assign a tensor to it first"));
}

/// Returns `dimension` counted from 0. Throws ExtentError if the tensor has no such dimension.
inline int known_dimension(TensorState const& state, int dimension) {
  int const rank = state.layout.rank();
  int const d = dimension < 0 ? dimension + rank : dimension;
  if (d < 0 || d >= rank)
    throw ExtentError(concat("tensor '", state.name, "' ", text_of(state.extents), " has no dimension ", dimension,
                             "; dimensions count from 0, and from -1, the last one, downwards"));
  return d;
}

/// Name and extents of an unset tensor.
inline std::string const no_name{};
inline constexpr Extents no_extents{};

}  // namespace gshard::detail
