// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

#include <gshard/expr/functions.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

namespace gshard::detail {

/// Adds `term` to `sum`, which may be unset.
template <AnyTensor Sum, AnyTensor Term>
void add_to(Sum& sum, Term const& term) {
  if (!sum.is_set()) {
    if constexpr (std::is_same_v<Sum, Term>) sum = term;
    else sum = eval(convert<typename Sum::value_type>(term));
  } else if (sum.is_sole_owner()) {
    assign(sum, sum + term);
  } else {
    // The other handle may be another operand's gradient.
    sum = eval(sum + term);
  }
}

/// The sum of tensors of type `Tensor`, kept as `Widened` from the second term on and rounded once: a sum that is
/// rounded to BFloat16 after each term stops growing where a term is below half its last bit, 256 + 1 = 256.
template <AnyTensor Tensor>
class RunningSum {
  static constexpr bool is_widened = is_rounded<typename Tensor::value_type>;

 public:
  bool is_set() const { return first_.is_set() || sum_.is_set(); }

  void add(Tensor const& term) {
    if constexpr (is_widened) {
      if (!is_set()) {
        first_ = term;
        return;
      }
    }
    widen();
    add_to(sum_, term);
  }

  void add(Widened<Tensor> const& term)
    requires is_widened
  {
    widen();
    add_to(sum_, term);
  }

  /// The sum, rounded.
  Tensor rounded() const {
    if constexpr (is_widened) return sum_.is_set() ? eval(convert<typename Tensor::value_type>(sum_)) : first_;
    else return sum_;
  }

  /// The sum, rounded. Nothing is left.
  Tensor take() {
    Tensor const result = rounded();
    *this = {};
    return result;
  }

  /// Adds everything to `target`, unrounded. Nothing is left.
  void move_to(Widened<Tensor>& target) {
    consume([&](auto const& sum) { add_to(target, sum); });
  }

  /// Calls `action` with the sum and empties it. The sum is a `Tensor` if it has one term, else a `Widened<Tensor>`.
  template <class Action>
  void consume(Action const& action) {
    if (sum_.is_set()) action(std::exchange(sum_, {}));
    else if constexpr (is_widened) action(std::exchange(first_, {}));
  }

 private:
  void widen() {
    if constexpr (is_widened) {
      if (!first_.is_set()) return;
      add_to(sum_, first_);
      first_ = {};
    }
  }

  Tensor first_{};
  Widened<Tensor> sum_{};
};

}  // namespace gshard::detail
