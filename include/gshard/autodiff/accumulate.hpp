// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include <gshard/autodiff/unreduced.hpp>

namespace gshard {

namespace detail {

/// Destination of the gradient of a parameter: `parameter.gradient`, of any type. Null if there is no parameter.
struct GradientTarget {
  void* parameter = nullptr;
  void (*add)(void* parameter, SumHandles& sum) = nullptr;

  explicit operator bool() const { return parameter != nullptr; }

  /// Adds a sum of the type of the gradient, and empties it.
  void add_all_of(SumHandles& sum) const { add(parameter, sum); }
};

}  // namespace detail

/// Sums of gradients of parameters over several backward passes, as of micro-batches, before they are reduced. Each
/// stays as its contraction left it, an unreduced sum over the axes that split the data; of the whole extents if the
/// parameter is fully sharded (ZeRO-3).
/// Communication: none before `reduce`.
///
///     Accumulation sums;
///     for (auto const& batch : batches) {
///       Tape tape(sums);
///       tape.backward(loss_of(tape, batch));
///     }
///     sums.reduce();
class Accumulation {
 public:
  /// Adds to the parts of the gradient of one parameter. `Whole` is the type of the gradient.
  template <AnyTensor Whole, AnyTensor Part>
  void add(detail::GradientTarget const& target, Part const& part) {
    auto sum = std::ranges::find(sums_, target.parameter, [](Sum const& one) { return one.target.parameter; });
    if (sum == sums_.end()) sum = sums_.insert(sum, {target, {}});
    sum->parts.template add<Whole>(part);
  }

  /// Adds the sums to the gradients of their parameters, and forgets them.
  /// Communication: one all-reduce or reduce-scatter for each parameter and type of part.
  void reduce() {
    for (Sum& sum : sums_) {
      detail::SumHandles whole;
      sum.parts.reduce(whole);
      sum.target.add_all_of(whole);
    }
    sums_.clear();
  }

 private:
  struct Sum {
    detail::GradientTarget target;
    detail::Unreduced parts;
  };

  std::vector<Sum> sums_;
};

}  // namespace gshard
