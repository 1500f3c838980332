// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

#include <gshard/autodiff/running_sum.hpp>
#include <gshard/reshard/reshard.hpp>

namespace gshard::detail {

/// Parts of one gradient before they are reduced: one sum for each type of part, such as unreduced sums over the axes
/// that split the data. Each rank adds its own block.
class Unreduced {
 public:
  bool empty() const { return sums_.empty(); }

  /// Adds a part of a gradient of type `Whole`.
  template <AnyTensor Whole, AnyTensor Part>
  void add(Part const& part) {
    std::type_index const type = typeid(Part);
    auto sum = std::ranges::find(sums_, type, &Sum::type);
    if (sum == sums_.end()) sum = sums_.insert(sum, {type, {}, &reduce_part<Whole, Part>});
    RunningSum<Part>(sum->part).add(part);
  }

  /// Adds all parts to `whole`, a sum of the type of the gradient, and empties this.
  /// Communication: one reshard for each type of part.
  void reduce(SumHandles& whole) {
    for (Sum& sum : sums_) sum.reduce(sum.part, whole);
    sums_.clear();
  }

 private:
  struct Sum {
    std::type_index type;
    SumHandles part;
    void (*reduce)(SumHandles& part, SumHandles& whole);
  };

  template <AnyTensor Whole, AnyTensor Part>
  static void reduce_part(SumHandles& part, SumHandles& whole) {
    RunningSum<Part>(part).consume([&]<AnyTensor Term>(Term&& sum) {
      using Reduced = std::conditional_t<std::is_same_v<typename Term::value_type, typename Whole::value_type>, Whole,
                                         Widened<Whole>>;
      RunningSum<Whole>(whole).add(Reduced(reshard<typename Whole::spec_type>(std::move(sum))));
    });
  }

  std::vector<Sum> sums_;
};

}  // namespace gshard::detail
