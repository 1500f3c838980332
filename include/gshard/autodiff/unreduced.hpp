// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <typeindex>
#include <utility>
#include <vector>

#include <gshard/expr/functions.hpp>
#include <gshard/reshard/reshard.hpp>

namespace gshard::detail {

/// Adds to `sum`, a tensor of the same type that may be unset yet.
template <AnyTensor Tensor>
void add_to(std::shared_ptr<void>& sum, Tensor tensor) {
  if (!sum) {
    sum = std::make_shared<Tensor>(std::move(tensor));
    return;
  }
  auto& total = *static_cast<Tensor*>(sum.get());
  // A tensor that somebody else holds too may be another operand's gradient: it is not written to.
  if (total.is_sole_owner()) assign(total, total + tensor);
  else total = eval(total + tensor);
}

/// What adds up to one gradient, before it is reduced: the parts of each type, such as unreduced sums over the axes
/// that split the data, added on each rank.
class Unreduced {
 public:
  bool empty() const { return sums_.empty(); }

  /// Adds a part of a gradient of type `Whole`.
  template <AnyTensor Whole, AnyTensor Part>
  void add(Part part) {
    std::type_index const type = typeid(Part);
    auto sum = std::ranges::find(sums_, type, &Sum::type);
    if (sum == sums_.end()) sum = sums_.insert(sum, {type, {}, &reduce_part<Whole, Part>});
    add_to(sum->part, std::move(part));
  }

  /// Adds everything to `whole`: one reshard for each type of part. Nothing is left.
  void reduce(std::shared_ptr<void>& whole) {
    for (Sum& sum : sums_) sum.reduce(sum.part, whole);
    sums_.clear();
  }

 private:
  struct Sum {
    std::type_index type;
    std::shared_ptr<void> part;
    void (*reduce)(std::shared_ptr<void>& part, std::shared_ptr<void>& whole);
  };

  template <AnyTensor Whole, AnyTensor Part>
  static void reduce_part(std::shared_ptr<void>& part, std::shared_ptr<void>& whole) {
    add_to(whole, Whole(reshard<typename Whole::spec_type>(std::move(*static_cast<Part*>(part.get())))));
    part.reset();
  }

  std::vector<Sum> sums_;
};

}  // namespace gshard::detail
