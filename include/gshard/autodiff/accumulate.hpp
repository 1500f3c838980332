// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <gshard/autodiff/unreduced.hpp>
#include <gshard/core/closure.hpp>

namespace gshard {

/// The gradients of parameters over several backward passes, as of micro-batches, before they are reduced: each stays
/// as its contraction left it, an unreduced sum over the axes that split the data, whole where a parameter is kept in
/// pieces. Nothing of them is sent before `reduce`.
///
///     Accumulation sums;
///     for (auto const& batch : batches) {
///       Tape tape(sums);
///       tape.backward(loss_of(tape, batch));
///     }
///     sums.reduce();
class Accumulation {
 public:
  /// Adds to the parts of one parameter, known by its address; `add` takes its whole gradient, of type `Whole`, in the
  /// end.
  template <AnyTensor Whole, AnyTensor Part>
  void add(void const* parameter, Part part, detail::Closure const& add) {
    auto sum = std::ranges::find(sums_, parameter, &Sum::parameter);
    if (sum == sums_.end()) sum = sums_.insert(sum, {parameter, {}, add});
    sum->parts.add<Whole>(std::move(part));
  }

  /// Adds the sums to the gradients of their parameters: one all-reduce or reduce-scatter for each. What was added is
  /// forgotten.
  void reduce() {
    for (Sum& sum : sums_) {
      std::shared_ptr<void> whole;
      sum.parts.reduce(whole);
      sum.add(whole.get());
    }
    sums_.clear();
  }

 private:
  struct Sum {
    void const* parameter;
    detail::Unreduced parts;
    detail::Closure add;
  };

  std::vector<Sum> sums_;
};

}  // namespace gshard
