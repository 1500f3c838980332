// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include <gshard/einsum/fixed_extents.hpp>
#include <gshard/einsum/subscripts.hpp>
#include <gshard/reshard/plan.hpp>

namespace gshard::detail {

/// Elements that each of the p ranks along an axis moves: `whole + shares / p`. An all-gather counts as `whole`, an
/// all-to-all as `shares`.
struct MoveCost {
  double whole = 0;
  double shares = 0;

  /// Returns whether this cost is less on `ranks` ranks; for a dynamic size, compares for large p.
  constexpr bool is_less_than(MoveCost const& other, int ranks) const {
    if (ranks != dynamic_size) return whole + shares / ranks < other.whole + other.shares / ranks;
    return whole != other.whole ? whole < other.whole : shares < other.shares;
  }
};

/// Chooses the letter that one mesh axis splits, so that the fewest bytes move before and after the contraction.
/// `layouts` are those of the two operands; `declared` is that of the result, if it is declared.
class FewestBytes {
 public:
  constexpr FewestBytes(Subscripts const& subscripts, StaticVector<Layout, 2> const& layouts,
                        std::optional<Layout> const& declared, StaticSizes const& sizes, FixedExtents const& fixed)
      : subscripts_(subscripts), layouts_(layouts), declared_(declared), sizes_(sizes), fixed_(fixed) {}

  /// Returns the cheaper of the letters that `axis` splits in the left and in the right operand; nothing if the types
  /// do not fix all extents, or if both cost the same.
  constexpr std::optional<char> choose(int axis, char left, char right) const {
    for (Labels const& operand : subscripts_.operands)
      for (char letter : operand)
        if (fixed_.of(letter) == dynamic_extent) return {};
    MoveCost const on_left = cost(axis, left, 1);
    MoveCost const on_right = cost(axis, right, 0);
    if (on_left.is_less_than(on_right, sizes_[axis])) return left;
    if (on_right.is_less_than(on_left, sizes_[axis])) return right;
    return {};
  }

 private:
  /// Returns the number of elements of a tensor that the ranks of one group along `axis` hold together. Only other axes
  /// of static size divide it.
  constexpr double elements(Labels const& labels, Layout const& layout, int axis) const {
    double result = 1;
    for (char letter : labels) result *= static_cast<double>(fixed_.of(letter));
    for (int other = 0; other < sizes_.size(); ++other)
      if (other != axis && sizes_[other] != dynamic_size && layout.split().contains(other)) result /= sizes_[other];
    return result;
  }

  /// Returns the cost of working on `letter` if operand `moved` has to be resharded to it. An all-reduce counts twice:
  /// as a reduce-scatter and an all-gather.
  constexpr MoveCost cost(int axis, char letter, int moved) const {
    MoveCost result;
    Labels const& labels = subscripts_.operands[moved];
    (labels.contains(letter) ? result.shares : result.whole) += elements(labels, layouts_[moved], axis);
    double const product = elements(subscripts_.result, declared_ ? *declared_ : Layout{}, axis);
    int const wanted = declared_ ? declared_->dimension_of(axis) : -1;
    bool const kept = subscripts_.result.contains(letter);
    if (!kept && wanted >= 0) result.whole += product;
    else if (!kept && !(declared_ && declared_->partial.contains(axis))) result.whole += 2 * product;
    else if (kept && declared_ && wanted >= 0 && subscripts_.result[wanted] != letter) result.shares += product;
    else if (kept && declared_ && wanted < 0) result.whole += product;
    return result;
  }

  Subscripts const& subscripts_;
  StaticVector<Layout, 2> const& layouts_;
  std::optional<Layout> const& declared_;
  StaticSizes const& sizes_;
  FixedExtents const& fixed_;
};

}  // namespace gshard::detail
