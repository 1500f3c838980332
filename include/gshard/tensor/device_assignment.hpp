// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

/// Placement of a tensor as a list of ranks (paper 3.2 and A.3; partial tiling of GSPMD).
struct DeviceAssignment {
  /// Number of blocks of each dimension.
  Extents parts;
  /// Number of ranks per block. Of an unreduced sum, these ranks hold addends, not replicas.
  int replicas = 1;
  /// Ranks of the mesh: block by block in row-major order, `replicas` ranks for each block.
  std::vector<int> ranks;

  friend bool operator==(DeviceAssignment const&, DeviceAssignment const&) = default;
};

namespace detail {

/// Returns the axes of a mesh, major first, in the order in which DeviceAssignment lists ranks: the axes of each
/// dimension as listed, then the axes that split no dimension.
inline AxisList assignment_order(Layout const& layout, int axis_count) {
  AxisList order;
  for (AxisList const& axes : layout.dimensions)
    for (int axis : axes) order.push_back(axis);
  for (int axis = 0; axis < axis_count; ++axis)
    if (!layout.split().contains(axis)) order.push_back(axis);
  return order;
}

/// Returns the device assignment of any tensor of this layout on `mesh`.
inline DeviceAssignment assignment_of(Layout const& layout, MeshState const& mesh) {
  DeviceAssignment result;
  for (AxisList const& axes : layout.dimensions) result.parts.push_back(mesh.size(set_of(axes)));
  result.replicas = mesh.ranks() / static_cast<int>(product(result.parts));
  AxisList const order = assignment_order(layout, mesh.axis_count());
  std::vector<int> coordinates(static_cast<std::size_t>(mesh.axis_count()), 0);
  for (int count = 0; count < mesh.ranks(); ++count) {
    int rest = count;
    for (int i = order.size() - 1; i >= 0; --i) {
      coordinates[static_cast<std::size_t>(order[i])] = rest % mesh.size(order[i]);
      rest /= mesh.size(order[i]);
    }
    result.ranks.push_back(mesh.rank_at(coordinates));
  }
  return result;
}

}  // namespace detail

/// Returns the device assignment of a tensor.
/// Communication: none.
/// Throws StateError if the tensor is unset.
template <AnyTensor Tensor>
DeviceAssignment device_assignment(Tensor const& tensor) {
  detail::require_set("device_assignment", {{"tensor", tensor}});
  return detail::assignment_of(Tensor::layout, tensor.mesh_state());
}

}  // namespace gshard
