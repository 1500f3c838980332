// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/core/options.hpp>
#include <gshard/nn/kernels/dropout.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/nn/random_stream.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard::nn {

namespace detail {

/// Returns x with elements dropped; `operation` is the name in the ledger.
template <AnyTensor Tensor>
Tensor dropped_out(char const* operation, Tensor const& x, double rate, RandomStream random) {
  using T = typename Tensor::value_type;
  Tensor const result = empty_like(x);
  record_kernel(operation, result, x);
  auto const [seed, stream] = fold_in(random, RandomPurpose::dropout);
  dropout<typename Tensor::memory_space, T>(x.data(), result.data(), x.block(), x.extents(), rate, seed, stream);
  return result;
}

/// Dropout as an operation with a gradient. The gradient draws the same random numbers again.
struct Dropout {
  double rate;
  RandomStream random;

  template <int>
  static constexpr Reads reads = Reads::nothing();

  template <AnyTensor Tensor>
  auto forward(Tensor const& x) const {
    require_floating_point<Tensor>();
    return dropped_out("dropout", x, rate, random);
  }

  void vjp(auto const&, auto const& gradient, auto const& gradients) const {
    auto const& [dx] = gradients;
    dx.add(dropped_out("dropout gradient", gradient, rate, random));
  }
};

}  // namespace detail

/// Returns x with each element set to 0 with probability `rate` in [0, 1), and otherwise divided by 1 - rate
/// (Srivastava et al. 2014). Returns x itself at rate 0, and without random numbers (inference).
/// Which elements are dropped depends on `random` and on their global index: the same on every mesh. Keeps nothing for
/// the backward pass. Communication: none. Throws OptionError for another rate.
template <TensorOperand X>
auto dropout(X&& x, double rate, std::optional<RandomStream> random) {
  gshard::detail::require_rate("dropout rate", rate);
  auto const& input = gshard::detail::evaluated(std::forward<X>(x));
  gshard::detail::require_set("dropout", {{"x", detail::value_of(input)}});
  if (rate == 0 || !random) return std::remove_cvref_t<decltype(input)>(input);
  return Differentiable(detail::Dropout{rate, *random})(input);
}

}  // namespace gshard::nn
