// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <gshard/core/launch.hpp>
#include <gshard/core/rows.hpp>
#include <gshard/core/static_vector.hpp>
#include <gshard/expr/kernels.hpp>
#include <gshard/tensor/loop_nest.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/run_items.hpp>
#include <gshard/tensor/tensor_state.hpp>

// Broadcasting by values: how an operand of fewer dimensions, or of extents 1, is read for each element of a result.

namespace gshard::detail {

/// An operand of a broadcasting expression: its tensor, and the extents that its type fixes. An extent fixed to 1 may
/// meet any extent.
struct BroadcastOperand {
  TensorHandle const* tensor;
  Extents const* fixed;
};

/// Checks that operands have the extents of the last dimensions of `to`, apart from those fixed to 1, and its mesh.
/// `operation` names the caller in messages. Throws StateError, MeshError or ExtentError.
inline void check_broadcast(std::string_view operation, TensorHandle const& to,
                            std::span<BroadcastOperand const> operands) {
  int position = 0;
  for (BroadcastOperand const& operand : operands)
    require_set(operation, {{role_of_operand(position++), *operand.tensor}});
  position = 0;
  for (BroadcastOperand const& operand : operands) {
    Operand const own(role_of_operand(position++), *operand.tensor), all("the result", to);
    require_one_mesh(operation, {all, own});
    int const missing = to->extents.size() - (*operand.tensor)->extents.size();
    for (int d = 0; d < (*operand.tensor)->extents.size(); ++d)
      if ((*operand.fixed)[d] != 1) require_equal_extents(operation, own, d, all, d + missing);
  }
}

/// Returns the step of an operand in each dimension of the block of `to`, 0 where it is broadcast; sets `begin` to the
/// position in the block of the operand of the first element.
inline Extents broadcast_strides(TensorState const& to, TensorState const& operand, std::int64_t& begin) {
  int const missing = to.extents.size() - operand.extents.size();
  Extents const packed = packed_strides(operand.block.extents);
  Extents strides;
  begin = 0;
  for (int d = 0; d < to.extents.size(); ++d) {
    int const own = d - missing;
    bool const is_broadcast = own < 0 || (operand.extents[own] == 1 && to.extents[d] != 1);
    strides.push_back(is_broadcast ? 0 : packed[own]);
    if (!is_broadcast) begin += (to.block.offsets[d] - operand.block.offsets[own]) * packed[own];
  }
  return strides;
}

/// The loops over a packed block, as few as the operands allow.
struct BroadcastLoops {
  Extents extents;                         ///< of each loop, outermost first; at least one
  StaticVector<int, max_rank> dimensions;  ///< innermost dimension of each loop

  /// Precondition: no extent of the block of `to` is 0.
  BroadcastLoops(TensorState const& to, std::span<BroadcastOperand const> operands) {
    StaticVector<bool, max_rank> joins;  // whether a dimension is in one loop with the one before
    for (int d = 0; d < to.extents.size(); ++d) joins.push_back(d > 0);
    for (BroadcastOperand const& operand : operands) {
      std::int64_t begin = 0;
      Extents const strides = broadcast_strides(to, **operand.tensor, begin);
      for (int d = 1; d < strides.size(); ++d)
        joins[d] = joins[d] && strides[d - 1] == strides[d] * to.block.extents[d];
    }
    for (int d = 0; d < to.extents.size(); ++d) {
      if (joins[d]) {
        extents[extents.size() - 1] *= to.block.extents[d];
        dimensions[dimensions.size() - 1] = d;
      } else {
        extents.push_back(to.block.extents[d]);
        dimensions.push_back(d);
      }
    }
    if (extents.size() == 0) {
      extents.push_back(1);
      dimensions.push_back(-1);
    }
  }

  /// Returns the number of elements of the innermost loop.
  std::int64_t width() const { return extents[extents.size() - 1]; }
};

/// Reads one run of a broadcast operand.
template <class T>
struct RunKernel {
  T const* data;
  std::int64_t stride;
  KOKKOS_FUNCTION Computed<T> operator()(std::int64_t position) const { return data[position * stride]; }
};

/// Reads a broadcast operand.
template <class T>
struct BroadcastKernel {
  T const* data;
  LoopNest<1> outer;
  std::int64_t stride;

  KOKKOS_FUNCTION RunKernel<T> at(std::int64_t run, std::int64_t) const {
    std::int64_t offsets[1];
    outer.offsets_of(run, offsets);
    return {data + offsets[0], stride};
  }
};

/// Returns the kernel that reads `operand` for each element of the block of `to`.
template <class T>
BroadcastKernel<T> broadcast_kernel(TensorState const& to, TensorState const& operand, BroadcastLoops const& loops) {
  std::int64_t begin = 0;
  Extents const strides = broadcast_strides(to, operand, begin);
  T const* const elements = operand.elements<T>();  // null in AbstractSpace
  BroadcastKernel<T> kernel{elements == nullptr ? nullptr : elements + begin, {}, 0};
  for (int loop = 0; loop < loops.extents.size(); ++loop) {
    std::int64_t const stride = loops.dimensions[loop] < 0 ? 0 : strides[loops.dimensions[loop]];
    if (loop + 1 == loops.extents.size()) kernel.stride = stride;
    else kernel.outer.push_inner(loops.extents[loop], {stride});
  }
  return kernel;
}

/// Host: assigns some runs of a broadcasting expression, or a piece of a long one.
template <class T, class Kernel>
struct AssignRuns {
  T* result;
  Kernel kernel;
  RunItems items;

  void operator()(std::int64_t item) const {
    Range const range = items.elements_of(item);
    Range const runs = items.runs_of(item);
    for (std::int64_t run = runs.begin; run < runs.end; ++run) {
      auto const values = kernel.at(run, run * items.width);
      T* const row = result + run * items.width;
      ThreadLanes::each(range.size(),
                        [&](std::int64_t j) { row[range.begin + j] = static_cast<T>(values(range.begin + j)); });
    }
  }
};

/// Device: assigns one element of a broadcasting expression.
template <class T, class Kernel>
struct AssignBroadcast {
  T* result;
  Kernel kernel;
  std::int64_t width;

  KOKKOS_FUNCTION void operator()(std::int64_t position) const {
    std::int64_t const run = position / width;
    result[position] = static_cast<T>(kernel.at(run, run * width)(position - run * width));
  }
};

/// Assigns a broadcasting expression to `count` packed elements in runs of `width`.
template <class MemorySpace, class T, class Kernel>
void run_broadcast(T* result, std::int64_t count, std::int64_t width, Kernel const& kernel) {
  if (count == 0) return;
  if constexpr (runs_on_host<MemorySpace>) {
    RunItems const items = RunItems::of(width, count / width);
    launch<MemorySpace>("gshard::map", items.count(), count <= small_row, AssignRuns<T, Kernel>{result, kernel, items});
  } else {
    launch<MemorySpace>("gshard::map", count, AssignBroadcast<T, Kernel>{result, kernel, width});
  }
}

}  // namespace gshard::detail
