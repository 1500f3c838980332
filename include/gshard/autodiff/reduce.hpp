// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/autodiff/tape.hpp>
#include <gshard/reduce/total.hpp>

namespace gshard {

namespace detail {

/// A scalar tensor's value times a factor, for every element.
template <class T>
struct Broadcast : functions::NotLinear {
  T const* scalar;
  Computed<T> factor;
  KOKKOS_FUNCTION Computed<T> operator()(Computed<T>) const { return *scalar * factor; }
};

template <AnyTensor Tensor>
auto scaled_sum(Var<Tensor> const& x, double factor) {
  using T = typename Tensor::value_type;
  auto const result = scalar_like(x.value(), factor * static_cast<double>(sum(x.value())));
  using Result = std::remove_const_t<decltype(result)>;
  auto const shape = Cotangent<Tensor>(uninitialized, x.value().mesh(), x.value().extents());
  return x.tape().record(result, [slot = x.slot(), shape, factor](Cotangent<Result> const& gradient) {
    slot.add(eval(map(Broadcast<T>{{}, gradient.data(), static_cast<Computed<T>>(factor)}, shape)));
  });
}

}  // namespace detail

/// The sum of all elements of a recorded tensor, as a recorded scalar.
template <AnyTensor Tensor>
auto sum(Var<Tensor> const& x) {
  return detail::scaled_sum(x, 1);
}

/// The mean over the global number of elements of a recorded tensor, as a recorded scalar.
template <AnyTensor Tensor>
auto mean(Var<Tensor> const& x) {
  return detail::scaled_sum(x, 1.0 / static_cast<double>(x.value().size()));
}

}  // namespace gshard
