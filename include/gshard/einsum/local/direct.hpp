// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include <gshard/core/launch.hpp>
#include <gshard/einsum/local/cost.hpp>
#include <gshard/einsum/local/direct_kernels.hpp>
#include <gshard/einsum/local/units.hpp>
#include <gshard/tensor/loop_nest.hpp>

namespace gshard::detail {

/// Distributes the units over the loops of the direct kernels. On the host, the longest contiguous output loop and the
/// longest contiguous summing loop become the inner loops; sets `dot` if the summing loop is the one to vectorise. On a
/// device, an output loop that is contiguous in c becomes the inner one, so that neighbouring threads write
/// neighbouring elements.
template <class T, bool Binary>
DirectLoops<T, Binary> direct_loops(Units const& units, T const* a, T const* b, T* c, bool accumulate, bool on_host,
                                    bool& dot) {
  int inner_output = -1;
  int inner_sum = -1;
  auto output_rank = [&](int i) {
    if (i < 0) return std::int64_t{-1};
    Unit const& unit = units[i];
    std::int64_t const nearness = unit.strides[operand_c] == 1 ? 1 : 0;
    if (!on_host) return nearness;
    return is_contiguous_output(unit) ? 2 * unit.extent + nearness : nearness;
  };
  auto sum_rank = [&](int i) {
    if (i < 0) return std::int64_t{-1};
    return is_contiguous_sum(units[i], Binary) ? units[i].extent : std::int64_t{0};
  };
  for (int i = 0; i < units.size(); ++i) {
    if (units[i].in(operand_c)) {
      if (output_rank(i) > output_rank(inner_output)) inner_output = i;
    } else if (sum_rank(i) > sum_rank(inner_sum)) {
      inner_sum = i;
    }
  }
  bool const contiguous_output = inner_output >= 0 && is_contiguous_output(units[inner_output]);
  bool const contiguous_sum = inner_sum >= 0 && is_contiguous_sum(units[inner_sum], Binary);
  dot = contiguous_sum && (!contiguous_output || units[inner_output].extent < units[inner_sum].extent);

  DirectLoops<T, Binary> loops{c, a, b, {}, 1, {0, 0, 0}, {}, 1, {0, 0}, accumulate};
  LoopNest<3> outputs;
  LoopNest<2> sums;
  for (int i = 0; i < units.size(); ++i) {
    std::int64_t const(&strides)[3] = units[i].strides;
    if (i == inner_output) {
      loops.width = units[i].extent;
      loops.width_strides[0] = strides[operand_c];
      loops.width_strides[1] = strides[operand_a];
      loops.width_strides[2] = strides[operand_b];
    } else if (i == inner_sum) {
      loops.depth = units[i].extent;
      loops.depth_strides[0] = strides[operand_a];
      loops.depth_strides[1] = strides[operand_b];
    } else if (units[i].in(operand_c)) {
      outputs.push_inner(units[i].extent, {strides[operand_c], strides[operand_a], strides[operand_b]});
    } else {
      sums.push_inner(units[i].extent, {strides[operand_a], strides[operand_b]});
    }
  }
  loops.outputs = coalesce(outputs);
  loops.sums = coalesce(sums);
  return loops;
}

/// Runs the direct kernel of the memory space: tiles on the host, one element per work item on a device.
template <class MemorySpace, bool Binary, class T>
void run_direct(Units const& units, T const* a, T const* b, T* c, bool accumulate) {
  bool dot = false;
  auto const loops = direct_loops<T, Binary>(units, a, b, c, accumulate, runs_on_host<MemorySpace>, dot);
  if constexpr (runs_on_host<MemorySpace>) {
    DirectTiles<T, Binary> const kernel{loops, dot};
    launch<MemorySpace>("gshard::direct_tiles", kernel.items(), iterations(units) <= (1 << 14), kernel);
  } else {
    DirectElements<T, MemorySpace, Binary> const kernel{loops};
    launch<MemorySpace>("gshard::direct_elements", loops.outputs.count() * loops.width, false, kernel);
  }
}

/// Returns the number of independent parts that a sum is cut into, so that a long sum into few outputs occupies all
/// threads. Depends on the extents alone, not on the number of threads: the rounding is the same for any number.
template <class MemorySpace>
constexpr std::int64_t parts_of_sum(std::int64_t outputs, std::int64_t sums, std::int64_t longest) {
  if constexpr (runs_on_host<MemorySpace>) {
    if (outputs > 4096 || sums < 1024 || outputs * sums < (1 << 16)) return 1;
    return std::min<std::int64_t>(64, longest / 16);
  } else {
    if (outputs > (1 << 16) || sums < 512) return 1;
    return std::min({std::int64_t{1024}, longest / 32, (std::int64_t{1} << 18) / outputs});
  }
}

/// Computes c = or += the sum of a * b (of a alone if `Binary` is false) over the units that c lacks, by direct
/// kernels: for contractions that are no matrix product, are too small for one, or are of a type that no matrix library
/// has.
template <class MemorySpace, bool Binary, class T, class Scratch>
void contract_directly(Units const& units, T const* a, T const* b, T* c, bool accumulate, Scratch& scratch) {
  std::int64_t outputs = 1;
  std::int64_t sums = 1;
  int longest = -1;
  for (int i = 0; i < units.size(); ++i) {
    (units[i].in(operand_c) ? outputs : sums) *= units[i].extent;
    if (!units[i].in(operand_c) && (longest < 0 || units[i].extent > units[longest].extent)) longest = i;
  }
  std::int64_t const parts = longest < 0 ? 1 : parts_of_sum<MemorySpace>(outputs, sums, units[longest].extent);
  if (parts <= 1) return run_direct<MemorySpace, Binary>(units, a, b, c, accumulate);

  // Stage 1 sums each part into a row of its own; stage 2 adds the rows up; stage 3 adds the remainder of the extent
  // modulo the number of parts.
  Units partial;
  Units total;
  std::int64_t const piece = units[longest].extent / parts;
  Unit part = units[longest];
  part.extent = parts;
  for (std::int64_t& stride : part.strides) stride *= piece;
  part.strides[operand_c] = outputs;
  for (int i = 0; i < units.size(); ++i) {
    Unit unit = units[i];
    if (unit.in(operand_c)) {
      std::int64_t stride = 1;
      for (Unit const& other : units)
        if (other.in(operand_c) && other.strides[operand_c] < unit.strides[operand_c]) stride *= other.extent;
      total.push_back({unit.letters, unit.extent, {stride, 0, unit.strides[operand_c]}});
      unit.strides[operand_c] = stride;
    } else if (i == longest) {
      unit.extent = piece;
    }
    partial.push_back(unit);
  }
  partial.push_back(part);
  total.push_back({part.letters, parts, {outputs, 0, 0}});
  T* const rows = scratch.template get<T>(parts * outputs);
  run_direct<MemorySpace, Binary>(partial, a, b, rows, false);
  run_direct<MemorySpace, false>(total, static_cast<T const*>(rows), static_cast<T const*>(nullptr), c, accumulate);

  std::int64_t const rest = units[longest].extent - piece * parts;
  if (rest == 0) return;
  Units remaining = units;
  remaining[longest].extent = rest;
  std::int64_t const done = piece * parts;
  run_direct<MemorySpace, Binary>(remaining, a + done * units[longest].strides[operand_a],
                                  Binary ? b + done * units[longest].strides[operand_b] : b, c, true);
}

}  // namespace gshard::detail
