// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include <gshard/core/error.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

// Run-time checks of the operands of an operation: set, on one mesh, of matching extents. Each check throws on all
// ranks alike, because all ranks see the same meshes and global extents.

namespace gshard::detail {

/// Type-independent part of an operand that the checks read. Refers to the tensor, which must outlive it.
struct Operand {
  std::string_view role;  ///< name of the parameter, as "logits"
  std::string_view name;  ///< name of the tensor, may be empty
  Extents const* extents;
  MeshState const* mesh;  ///< null if the tensor is unset

  Operand(std::string_view parameter, TensorHandle const& tensor)
      : role(parameter),
        name(tensor ? tensor->name : no_name),
        extents(tensor ? &tensor->extents : &no_extents),
        mesh(tensor ? tensor->mesh.get() : nullptr) {}

  template <class Mesh, class Spec, class T, class MemorySpace>
  Operand(std::string_view parameter, ShardedTensor<Mesh, Spec, T, MemorySpace> const& tensor)
      : Operand(parameter, tensor.handle()) {}
};

/// Returns the role of an operand that has a position but no parameter name.
inline std::string_view role_of_operand(int position) {
  static constexpr std::string_view roles[] = {"operand 0", "operand 1", "operand 2", "operand 3",
                                               "operand 4", "operand 5", "operand 6", "operand 7"};
  return position < 8 ? roles[position] : "an operand";
}

/// Returns an operand as "logits 'scores' (2, 4)".
inline std::string text_of(Operand const& operand) {
  std::string result(operand.role);
  if (!operand.name.empty()) result += concat(" '", operand.name, "'");
  return operand.mesh == nullptr ? result + " (unset)" : result + " " + text_of(*operand.extents);
}

/// Returns the rank and mesh of an operand, as the end of a message.
inline std::string place_of(Operand const& operand) {
  return concat("; rank ", operand.mesh->rank(), " of mesh (", operand.mesh->text(), ")");
}

/// Throws StateError if an operand is default-constructed or moved from.
inline void require_set(std::string_view operation, std::span<Operand const> operands) {
  for (Operand const& operand : operands)
    if (operand.mesh == nullptr)
      throw StateError(concat(operation, ": ", text_of(operand),
                              " is no tensor; assign one to it first, or use the tensor that it was moved to"));
}
inline void require_set(std::string_view operation, std::initializer_list<Operand> operands) {
  require_set(operation, std::span(operands.begin(), operands.size()));
}

/// Throws StateError if the mesh is default-constructed or moved from.
template <class... Axes>
void require_set(std::string_view operation, Mesh<Axes...> const& mesh) {
  if (!mesh.is_set()) throw StateError(concat(operation, ": the mesh is unset; make it from a Runtime first"));
}

/// Throws StateError if an operand is unset, MeshError if the operands are on different meshes.
/// Precondition: there is at least one operand.
inline void require_one_mesh(std::string_view operation, std::span<Operand const> operands) {
  require_set(operation, operands);
  Operand const& first = operands.front();
  for (Operand const& operand : operands)
    if (operand.mesh != first.mesh)
      throw MeshError(concat(operation, ": ", text_of(first), " lives on mesh (", first.mesh->text(), "), ",
                             text_of(operand), " on another one (", operand.mesh->text(),
                             "); make both from copies of one mesh object, or reshard one to the mesh of the other"));
}
inline void require_one_mesh(std::string_view operation, std::initializer_list<Operand> operands) {
  require_one_mesh(operation, std::span(operands.begin(), operands.size()));
}

/// Throws StateError if the operand is unset, MeshError if it is not on `mesh`.
template <class Mesh>
void require_on_mesh(std::string_view operation, Operand const& operand, Mesh const& mesh) {
  require_set(operation, {operand});
  if (!mesh.is_set() || operand.mesh != &mesh.state())
    throw MeshError(concat(operation, ": ", text_of(operand), " lives on mesh (", operand.mesh->text(),
                           "), and the operation works on another one (", mesh.text(),
                           "); make both from copies of one mesh object, or reshard to the mesh of the other"));
}

/// Throws ExtentError if dimension `dimension` of the operand does not have the extent `wanted`.
/// `reason` says where `wanted` comes from, as "the number of columns of the logits".
/// Precondition: the operand is set.
inline void require_extent(std::string_view operation, Operand const& operand, int dimension, std::int64_t wanted,
                           std::string_view reason) {
  if ((*operand.extents)[dimension] != wanted)
    throw ExtentError(concat(operation, ": dimension ", dimension, " of ", text_of(operand), " has to be ", wanted,
                             ", ", reason, place_of(operand)));
}

/// Throws ExtentError if dimension `left_dimension` of `left` and `right_dimension` of `right` have different extents.
/// Precondition: both operands are set.
inline void require_equal_extents(std::string_view operation, Operand const& left, int left_dimension,
                                  Operand const& right, int right_dimension) {
  if ((*left.extents)[left_dimension] != (*right.extents)[right_dimension])
    throw ExtentError(concat(operation, ": dimension ", left_dimension, " of ", text_of(left), " and dimension ",
                             right_dimension, " of ", text_of(right), " have to be equal", place_of(left)));
}

/// Applies require_extent to all dimensions; skips those whose wanted extent is `dynamic_extent`.
inline void require_extents(std::string_view operation, Operand const& operand, Extents const& wanted,
                            std::string_view reason) {
  for (int d = 0; d < wanted.size(); ++d)
    if (wanted[d] != dynamic_extent) require_extent(operation, operand, d, wanted[d], reason);
}

/// Throws as require_one_mesh, and ExtentError if the operands have different extents.
/// Precondition: there is at least one operand.
inline void require_same_shape(std::string_view operation, std::span<Operand const> operands) {
  require_one_mesh(operation, operands);
  Operand const& first = operands.front();
  for (Operand const& operand : operands)
    if (!(*operand.extents == *first.extents))
      throw ExtentError(concat(operation, ": ", text_of(first), " and ", text_of(operand),
                               " have to have equal extents", place_of(first)));
}
inline void require_same_shape(std::string_view operation, std::initializer_list<Operand> operands) {
  require_same_shape(operation, std::span(operands.begin(), operands.size()));
}

}  // namespace gshard::detail
