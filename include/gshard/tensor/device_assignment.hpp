// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard {

/// Who holds what of a tensor, as the paper writes it (3.2, A.3; GSPMD's partial tiling): dimension d has `parts[d]`
/// blocks, and each block `replicas` holders (of an unreduced sum: ranks that hold a part of it). `ranks` lists the
/// holders of the blocks in row-major order, those of one block together.
struct DeviceAssignment {
  Extents parts;
  int replicas = 1;
  std::vector<int> ranks;

  friend bool operator==(DeviceAssignment const&, DeviceAssignment const&) = default;
};

namespace detail {

/// The axes of a mesh in the order in which a layout's blocks are counted: those of each dimension as listed, then
/// those that split none.
inline AxisList assignment_order(Layout const& layout, int axis_count) {
  AxisList order;
  for (AxisList const& axes : layout.dimensions)
    for (int axis : axes) order.push_back(axis);
  for (int axis = 0; axis < axis_count; ++axis)
    if (!layout.split().contains(axis)) order.push_back(axis);
  return order;
}

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

/// The device assignment of a tensor. No communication.
template <AnyTensor Tensor>
DeviceAssignment device_assignment(Tensor const& tensor) {
  detail::require_set("device_assignment", {{"tensor", tensor}});
  return detail::assignment_of(Tensor::layout, tensor.mesh_state());
}

}  // namespace gshard
