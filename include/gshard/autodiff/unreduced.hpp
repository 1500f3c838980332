// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <memory>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

#include <gshard/autodiff/running_sum.hpp>
#include <gshard/core/closure.hpp>
#include <gshard/reshard/reshard.hpp>

namespace gshard::detail {

/// The running sum of type `Tensor` behind `sum`, which may be null yet.
template <AnyTensor Tensor>
RunningSum<Tensor>& running_sum(std::shared_ptr<void>& sum) {
  if (!sum) sum = owned(new RunningSum<Tensor>());
  return *static_cast<RunningSum<Tensor>*>(sum.get());
}

/// What adds up to one gradient, before it is reduced: the parts of each type, such as unreduced sums over the axes
/// that split the data, added on each rank.
class Unreduced {
 public:
  bool empty() const { return sums_.empty(); }

  /// Adds a part of a gradient of type `Whole`.
  template <AnyTensor Whole, AnyTensor Part>
  void add(Part const& part) {
    std::type_index const type = typeid(Part);
    auto sum = std::ranges::find(sums_, type, &Sum::type);
    if (sum == sums_.end()) sum = sums_.insert(sum, {type, {}, &reduce_part<Whole, Part>});
    running_sum<Part>(sum->part).add(part);
  }

  /// Adds everything to `whole`, a RunningSum: one reshard for each type of part. Nothing is left.
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
    running_sum<Part>(part).consume([&]<AnyTensor Term>(Term&& sum) {
      using Reduced = std::conditional_t<std::is_same_v<typename Term::value_type, typename Whole::value_type>, Whole,
                                         Widened<Whole>>;
      running_sum<Whole>(whole).add(Reduced(reshard<typename Whole::spec_type>(std::move(sum))));
    });
    part.reset();
  }

  std::vector<Sum> sums_;
};

}  // namespace gshard::detail
