// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

#include <gshard/expr/arithmetic.hpp>

namespace gshard {

namespace error {

/// Compile error of `+=`, `-=` or `*=` on a tensor that is const.
template <class Spec>
struct UpdateOfConstTensor {
  static_assert(always_false<Spec>,
                "gshard: +=, -= or *= changes the elements of a tensor that is declared const here; declare it without "
                "const, or write assign(y, y + x), which says that the elements change");
};

}  // namespace error

namespace detail {

/// Rejects an update of a tensor that is const.
template <class Tensor>
constexpr void refuse_const() {
  if constexpr (std::is_const_v<Tensor>)
    using Refused [[maybe_unused]] = decltype(error::UpdateOfConstTensor<typename Tensor::spec_type>{});
}

}  // namespace detail

/// Adds an expression of the same layout, or one that broadcasts to it, to the elements of `y`, as one kernel. All
/// handles of `y` see it.
template <AnyTensor Tensor, Expression Operand>
Tensor& operator+=(Tensor& y, Operand&& x) {
  detail::refuse_const<Tensor>();
  assign(y, y + std::forward<Operand>(x));
  return y;
}

/// Subtracts such an expression from the elements of `y`, as one kernel.
template <AnyTensor Tensor, Expression Operand>
Tensor& operator-=(Tensor& y, Operand&& x) {
  detail::refuse_const<Tensor>();
  assign(y, y - std::forward<Operand>(x));
  return y;
}

/// Multiplies the elements of `y` by a number.
template <AnyTensor Tensor, detail::Number Factor>
Tensor& operator*=(Tensor& y, Factor factor) {
  detail::refuse_const<Tensor>();
  assign(y, factor * y);
  return y;
}

}  // namespace gshard
