// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include <gshard/einsum/plan.hpp>
#include <gshard/einsum/result_extents.hpp>
#include <gshard/reshard/execute.hpp>

namespace gshard::detail {

/// Describes an einsum of one or two operands by values: subscripts, plan, and the functions that the plan needs. Code
/// that takes it is compiled once per element type and memory space, not once per plan.
template <class MemorySpace, class T>
struct PlannedEinsum {
  /// Name in messages.
  EinsumName name;
  Subscripts const& subscripts;
  EinsumPlan const& plan;
  std::span<std::string_view const> axis_names;
  /// Functions that run the movements of `plan`.
  Movers<MemorySpace, T> const& movers;
  /// Contracts operands, which are in the layouts of the plan, into `produced`. Overwrites `produced`, or adds to it if
  /// `add`.
  void (*contract)(PlannedEinsum const& einsum, HandleList operands, TensorState const& produced, bool add);

  /// Returns the type of a tensor of this einsum in `layout`, of any extents.
  TensorType type(Layout const& layout) const { return TensorType{{}, {}, axis_names, sizeof(T)}.with_layout(layout); }
};

}  // namespace gshard::detail
