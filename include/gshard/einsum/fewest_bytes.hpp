// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include <gshard/einsum/fixed_extents.hpp>
#include <gshard/einsum/subscripts.hpp>
#include <gshard/reshard/plan.hpp>

namespace gshard::detail {

/// What moves along one axis of p ranks: `whole` elements a rank, as in an all-gather, and `shares` of 1/p of them, as
/// in an all-to-all.
struct MoveCost {
  double whole = 0;
  double shares = 0;

  /// Where the axis has no fixed size, p counts as large.
  constexpr bool is_less_than(MoveCost const& other, int ranks) const {
    if (ranks != dynamic_size) return whole + shares / ranks < other.whole + other.shares / ranks;
    return whole != other.whole ? whole < other.whole : shares < other.shares;
  }
};

/// Which of two letters one axis should work on, so that the fewest bytes move before and after the contraction;
/// nothing where the types do not fix all extents, or where it makes no difference. `layouts` are those of the two
/// operands; `declared` that of the result, if it is.
class FewestBytes {
 public:
  constexpr FewestBytes(Subscripts const& subscripts, StaticVector<Layout, 2> const& layouts,
                        std::optional<Layout> const& declared, StaticSizes const& sizes, FixedExtents const& fixed)
      : subscripts_(subscripts), layouts_(layouts), declared_(declared), sizes_(sizes), fixed_(fixed) {}

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
  /// The elements of a tensor that ranks of one group along `axis` hold together: other axes of fixed sizes cut it.
  constexpr double elements(Labels const& labels, Layout const& layout, int axis) const {
    double result = 1;
    for (char letter : labels) result *= static_cast<double>(fixed_.of(letter));
    for (int other = 0; other < sizes_.size(); ++other)
      if (other != axis && sizes_[other] != dynamic_size && layout.split().contains(other)) result /= sizes_[other];
    return result;
  }

  /// Of working on `letter`, to which the operand `moved` has to come.
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
