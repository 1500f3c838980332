// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <typeindex>
#include <utility>
#include <vector>

#include <gshard/expr/functions.hpp>
#include <gshard/reshard/reshard.hpp>

namespace gshard {

/// The gradients of parameters over several backward passes, as of micro-batches, before they are reduced: each stays as its contraction left it, an
/// unreduced sum over the axes that split the data, whole where a parameter is kept in pieces. Nothing of them is sent before `reduce`.
///
///     Accumulation sums;
///     for (auto const& batch : batches) {
///       Tape tape(sums);
///       tape.backward(loss_of(tape, batch));
///     }
///     sums.reduce();
class Accumulation {
 public:
  /// Adds to the parts of one parameter, known by its address; `add` takes its whole gradient, of type `Whole`, in the end.
  template <AnyTensor Whole, AnyTensor Part>
  void add(void const* parameter, Part part, std::function<void(void*)> const& add) {
    std::type_index const type = typeid(Part);
    auto const sum = std::ranges::find_if(sums_, [&](Sum const& s) { return s.parameter == parameter && s.type == type; });
    if (sum == sums_.end()) {
      sums_.push_back({parameter, type, std::make_shared<Part>(std::move(part)), add, &reduce_part<Whole, Part>});
      return;
    }
    auto& total = *static_cast<Part*>(sum->part.get());
    if (total.is_sole_owner()) assign(total, total + part);
    else total = eval(total + part);
  }

  /// Adds the sums to the gradients of their parameters: one all-reduce or reduce-scatter for each. What was added is forgotten.
  void reduce() {
    for (Sum& sum : sums_) {
      sum.reduce(sum);
      sum.part.reset();
    }
    sums_.clear();
  }

 private:
  struct Sum {
    void const* parameter;
    std::type_index type;
    std::shared_ptr<void> part;
    std::function<void(void*)> add;
    void (*reduce)(Sum&);
  };

  template <AnyTensor Whole, AnyTensor Part>
  static void reduce_part(Sum& sum) {
    Whole whole = reshard<typename Whole::spec_type>(std::move(*static_cast<Part*>(sum.part.get())));
    sum.add(&whole);
  }

  std::vector<Sum> sums_;
};

}  // namespace gshard
