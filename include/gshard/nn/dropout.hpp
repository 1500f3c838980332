// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include <gshard/core/options.hpp>
#include <gshard/nn/kernels/dropout.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/nn/random_stream.hpp>

namespace gshard::nn {

namespace detail {

template <AnyTensor Tensor>
Tensor dropped_out(char const* operation, Tensor const& x, double rate, RandomStream random) {
  using T = typename Tensor::value_type;
  Tensor const result = empty_like(x);
  record_kernel(operation, result, x);
  auto const [seed, stream] = fold_in(random, RandomPurpose::dropout);
  dropout<typename Tensor::memory_space, T>(x.data(), result.data(), x.block(), x.extents(), rate, seed, stream);
  return result;
}

}  // namespace detail

/// Returns x with each element set to 0 with probability `rate` in [0, 1), and otherwise divided by 1 - rate
/// (Srivastava et al. 2014); x itself at rate 0, and in inference, where there are no random numbers. The elements that
/// go depend on `random` and on their place in the whole tensor: the same on every mesh. Local. The backward pass draws
/// again and keeps nothing. Throws OptionError for another rate.
template <class X>
  requires(AnyTensor<X> || AnyVar<X>)
X dropout(X const& x, double rate, std::optional<RandomStream> random) {
  gshard::detail::require_rate("dropout rate", rate);
  gshard::detail::require_set("dropout", {{"x", detail::value_of(x)}});
  if (rate == 0 || !random) return x;
  auto const result = detail::dropped_out("dropout", detail::value_of(x), rate, *random);
  return detail::recorded_beside(x, result, [rate, random = *random, slot = detail::slot_of(x)](auto const& gradient) {
    slot.add(detail::dropped_out("dropout gradient", gradient, rate, random));
  });
}

}  // namespace gshard::nn
