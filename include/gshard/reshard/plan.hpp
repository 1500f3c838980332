// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include <gshard/core/static_vector.hpp>
#include <gshard/mesh/axis.hpp>
#include <gshard/tensor/layout.hpp>

namespace gshard {

/// Kind of a step between two layouts.
/// slice: keeps a part of the local block; local
/// zero_fill: makes axes partial by filling with zeros what other ranks contribute; local
/// all_gather: gathers blocks along the last axes of dimensions
/// all_reduce: sums over partial axes
/// reduce_scatter: sums over partial axes and splits dimensions over them
/// all_to_all: moves the last axes of one dimension to the end of another
/// permute: sends each block whole to one rank (CollectivePermute)
/// ring: loop of permutes in place of an all-gather or reduce-scatter; in einsums only (collective matmul)
/// exchange: general all-to-all of block intersections
enum class Movement { slice, zero_fill, all_gather, all_reduce, reduce_scatter, all_to_all, permute, ring, exchange };

/// Returns whether a movement sends nothing.
constexpr bool is_local(Movement movement) { return movement == Movement::slice || movement == Movement::zero_fill; }

/// Returns the name of a movement in explanations, as "all-to-all".
constexpr char const* text_of(Movement movement) {
  switch (movement) {
    case Movement::slice: return "slice";
    case Movement::zero_fill: return "zero-fill";
    case Movement::all_gather: return "all-gather";
    case Movement::all_reduce: return "all-reduce";
    case Movement::reduce_scatter: return "reduce-scatter";
    case Movement::all_to_all: return "all-to-all";
    case Movement::permute: return "permute";
    case Movement::ring: return "ring";
    default: return "exchange";
  }
}

/// Number of collectives of each kind in a plan. A ring of permutes counts once, as `ring`.
struct CollectiveCounts {
  int all_gather = 0;
  int all_reduce = 0;
  int reduce_scatter = 0;
  int all_to_all = 0;
  int permute = 0;
  int ring = 0;
  int exchange = 0;

  /// Returns the number of collectives of all kinds.
  constexpr int total() const {
    return all_gather + all_reduce + reduce_scatter + all_to_all + permute + ring + exchange;
  }

  /// Counts one movement. Local movements are not counted.
  constexpr void add(Movement movement) {
    switch (movement) {
      case Movement::all_gather: ++all_gather; break;
      case Movement::all_reduce: ++all_reduce; break;
      case Movement::reduce_scatter: ++reduce_scatter; break;
      case Movement::all_to_all: ++all_to_all; break;
      case Movement::permute: ++permute; break;
      case Movement::ring: ++ring; break;
      case Movement::exchange: ++exchange; break;
      default: break;
    }
  }
};

/// Set of movements, one bit for each kind.
struct MovementSet {
  std::uint32_t bits = 0;

  constexpr bool contains(Movement movement) const { return ((bits >> static_cast<int>(movement)) & 1U) != 0; }
  constexpr void add(Movement movement) { bits |= std::uint32_t{1} << static_cast<int>(movement); }
  friend constexpr bool operator==(MovementSet, MovementSet) = default;
};

/// Step of a plan: one movement within the groups along `axes`. `layout` is the layout after the step.
struct ReshardStep {
  Movement movement = Movement::slice;
  AxisSet axes;
  Layout layout;
};

/// Steps from one layout to another, in order, with the number of collectives of each kind.
/// plan_reshard makes at most one slice, one reduce-scatter, one all-reduce, one other collective and one zero-fill.
struct ReshardPlan : CollectiveCounts {
  StaticVector<ReshardStep, 6> steps;

  /// Returns whether no step sends anything.
  constexpr bool is_free() const { return total() == 0; }

  /// Returns the kinds of movement that the steps use.
  constexpr MovementSet movements() const {
    MovementSet set;
    for (ReshardStep const& step : steps) set.add(step.movement);
    return set;
  }

  /// Appends a step and counts its collective.
  constexpr void add_step(Movement movement, AxisSet axes, Layout const& layout) {
    steps.push_back({movement, axes, layout});
    add(movement);
  }
};

/// Sizes of a mesh's axes, in the order of the axes; `dynamic_size` for an axis whose size the type leaves open.
using StaticSizes = StaticVector<int, max_axes>;

/// Returns the axis sizes that the type `Mesh` fixes.
template <class Mesh>
constexpr StaticSizes static_sizes_of() {
  StaticSizes sizes;
  for (int axis = 0; axis < Mesh::axis_count; ++axis) sizes.push_back(Mesh::static_size(axis));
  return sizes;
}

namespace detail {

constexpr bool starts_with(AxisList const& list, AxisList const& prefix) {
  if (prefix.size() > list.size()) return false;
  for (int i = 0; i < prefix.size(); ++i)
    if (list[i] != prefix[i]) return false;
  return true;
}

/// Returns `list` without its first `count` axes.
constexpr AxisList rest_of(AxisList const& list, int count) {
  AxisList result;
  for (int i = count; i < list.size(); ++i) result.push_back(list[i]);
  return result;
}

constexpr AxisList without(AxisList const& list, AxisSet axes) {
  AxisList result;
  for (int axis : list)
    if (!axes.contains(axis)) result.push_back(axis);
  return result;
}

/// Returns `from` with each axis of `added` appended to the dimension that the axis splits in `to`.
constexpr Layout with_appended(Layout from, Layout const& to, AxisSet added) {
  for (int dimension = 0; dimension < from.rank(); ++dimension)
    for (int axis : to.dimensions[dimension])
      if (added.contains(axis)) from.dimensions[dimension].push_back(axis);
  return from;
}

/// Returns the axes along which elements move: in each dimension, the axes of `from` behind the common prefix of both
/// lists. Two ranks that differ only along other axes need no elements of each other.
constexpr AxisSet moved_axes(Layout const& from, Layout const& to) {
  AxisSet moved;
  for (int dimension = 0; dimension < from.rank(); ++dimension) {
    AxisList const& before = from.dimensions[dimension];
    AxisList const& after = to.dimensions[dimension];
    int common = 0;
    while (common < before.size() && common < after.size() && before[common] == after[common]) ++common;
    moved |= set_of(rest_of(before, common));
  }
  return moved;
}

/// Returns whether `to` follows from `from` by all-gathers: each list of `to` is a prefix of the list of `from`.
constexpr bool only_gathers(Layout const& from, Layout const& to) {
  for (int dimension = 0; dimension < from.rank(); ++dimension)
    if (!starts_with(from.dimensions[dimension], to.dimensions[dimension])) return false;
  return true;
}

/// Returns whether the last axes of one dimension become the last axes of another, and nothing else changes.
constexpr bool is_all_to_all(Layout const& from, Layout const& to) {
  AxisList lost;
  AxisList won;
  int losers = 0;
  int winners = 0;
  for (int dimension = 0; dimension < from.rank(); ++dimension) {
    AxisList const& before = from.dimensions[dimension];
    AxisList const& after = to.dimensions[dimension];
    if (before == after) continue;
    if (starts_with(before, after)) {
      lost = rest_of(before, after.size());
      ++losers;
    } else if (starts_with(after, before)) {
      won = rest_of(after, before.size());
      ++winners;
    } else {
      return false;
    }
  }
  return losers == 1 && winners == 1 && lost == won;
}

/// Returns whether both layouts cut each dimension into the same parts, by other axes or by axes in another order. Each
/// rank then sends its block whole to one rank. False if this depends on a size that the type of the mesh leaves open.
constexpr bool is_permute(Layout const& from, Layout const& to, StaticSizes const& sizes) {
  for (int dimension = 0; dimension < from.rank(); ++dimension) {
    AxisList const& before = from.dimensions[dimension];
    AxisList const& after = to.dimensions[dimension];
    if (before.size() != after.size()) return false;
    for (int i = 0; i < before.size(); ++i)
      if (before[i] != after[i] && (sizes[before[i]] == dynamic_size || sizes[before[i]] != sizes[after[i]]))
        return false;
  }
  return true;
}

/// Map from each axis of a mesh to an axis of the same mesh.
using AxisMap = StaticVector<int, max_axes>;

/// Returns the axis map of a permute: the rank at coordinates c sends its block to the rank at coordinates t with
/// t[a] = c[result[a]] for every axis a. Precondition: is_permute.
constexpr AxisMap permuted_axes(Layout const& from, Layout const& to, int axis_count) {
  AxisMap source;
  for (int axis = 0; axis < axis_count; ++axis) source.push_back(axis);
  for (int dimension = 0; dimension < from.rank(); ++dimension)
    for (int i = 0; i < from.dimensions[dimension].size(); ++i)
      source[to.dimensions[dimension][i]] = from.dimensions[dimension][i];
  // The map has to be a permutation of the axes. An axis that splits a dimension in `from` only is the start of a chain
  // of replacements. It takes the coordinate of the chain's end, an axis in `to` only, which no other axis takes.
  auto successor = [&](int axis) {
    for (int other = 0; other < axis_count; ++other)
      if (to.split().contains(other) && source[other] == axis) return other;
    return -1;
  };
  for (int axis = 0; axis < axis_count; ++axis) {
    if (to.split().contains(axis) || !from.split().contains(axis)) continue;
    int end = axis;
    for (int next = successor(axis); next >= 0; next = successor(next)) end = next;
    source[axis] = end;
  }
  return source;
}

/// Returns the axes a with source[a] != a.
constexpr AxisSet axes_that_change(AxisMap const& source) {
  AxisSet result;
  for (int axis = 0; axis < source.size(); ++axis)
    if (source[axis] != axis) result |= AxisSet::of(axis);
  return result;
}

/// Appends the steps from `from` to `to`. Precondition: both layouts have the same partial axes.
constexpr void plan_movement(ReshardPlan& plan, Layout from, Layout const& to, StaticSizes const& sizes) {
  if (from == to) return;
  if (is_permute(from, to, sizes))
    return plan.add_step(Movement::permute, axes_that_change(permuted_axes(from, to, sizes.size())), to);
  AxisSet const fresh = to.split() - from.split();
  Layout const sliced = with_appended(from, to, fresh);
  bool const gathers = only_gathers(sliced, to);
  bool const known = sliced == to || gathers || is_all_to_all(sliced, to);
  if (known && sliced != from) {
    plan.add_step(Movement::slice, fresh, sliced);
    from = sliced;
  }
  if (from == to) return;
  plan.add_step(!known    ? Movement::exchange
                : gathers ? Movement::all_gather
                          : Movement::all_to_all,
                moved_axes(from, to), to);
}

}  // namespace detail

/// Returns the steps from layout `from` to layout `to` of one tensor:
/// 1. a slice, if a reduction follows and `to` keeps the slice;
/// 2. a reduce-scatter over the reduced axes that split a dimension in `to`, an all-reduce over the other reduced axes;
/// 3. a slice, all-gather, all-to-all or permute (a slice may precede the collective) if the pair of layouts is a known
///    one, else one exchange of block intersections, in which each element reaches each rank that needs it once;
/// 4. a zero-fill over the axes that become partial.
/// Preconditions: both layouts are on one mesh and have the same rank; `sizes` has one entry for each axis.
constexpr ReshardPlan plan_reshard(Layout const& from, Layout const& to, StaticSizes const& sizes) {
  ReshardPlan plan;
  Layout current = from;
  AxisSet const reduced = from.partial - to.partial;
  AxisSet const scattered = reduced & to.split();
  // Slicing first makes the reductions smaller. It pays only if `to` keeps the slice.
  AxisSet const fresh = to.split() - from.split() - scattered;
  Layout const sliced = detail::with_appended(from, to, fresh);
  if (!reduced.empty() && !fresh.empty() && detail::only_gathers(to, sliced)) {
    plan.add_step(Movement::slice, fresh, sliced);
    plan.steps.back().layout.partial = from.partial;
    current = sliced;
  }
  if (!scattered.empty()) {
    current = detail::with_appended(current, to, scattered);
    current.partial = current.partial - scattered;
    plan.add_step(Movement::reduce_scatter, scattered, current);
  }
  if (AxisSet const whole = reduced - scattered; !whole.empty()) {
    current.partial = current.partial - whole;
    plan.add_step(Movement::all_reduce, whole, current);
  }
  AxisSet const spread = to.partial - from.partial;
  Layout before_spread = to;
  before_spread.partial = to.partial - spread;
  // An axis that becomes partial may split its dimension until the zero-fill, which needs no communication.
  for (int dimension = 0; dimension < to.rank(); ++dimension) {
    AxisList const& axes = current.dimensions[dimension];
    AxisList const& target = to.dimensions[dimension];
    bool const kept =
        detail::starts_with(axes, target) && spread.contains(set_of(detail::rest_of(axes, target.size())));
    if (kept) before_spread.dimensions[dimension] = axes;
  }
  detail::plan_movement(plan, current, before_spread, sizes);
  if (!spread.empty()) plan.add_step(Movement::zero_fill, spread, to);
  return plan;
}

namespace detail {

/// Returns whether a movement may pack its parts into a buffer of the size of the old block.
constexpr bool packs_parts(Movement movement) {
  return movement == Movement::reduce_scatter || movement == Movement::all_to_all || movement == Movement::exchange;
}

/// Returns the elements of the largest block or message buffer of any rank while `plan` runs from layout `from`.
/// Precondition: no extent and no size is dynamic.
constexpr std::int64_t largest_buffer(Layout const& from, ReshardPlan const& plan, Extents const& extents,
                                      StaticSizes const& sizes) {
  auto block = [&](Layout const& layout) {
    return product(largest_block(layout, extents, [&](int axis) { return sizes[axis]; }));
  };
  std::int64_t largest = 0;
  Layout current = from;
  for (ReshardStep const& step : plan.steps) {
    if (packs_parts(step.movement)) largest = std::max(largest, block(current));
    largest = std::max(largest, block(step.layout));
    current = step.layout;
  }
  return largest;
}

}  // namespace detail
}  // namespace gshard
