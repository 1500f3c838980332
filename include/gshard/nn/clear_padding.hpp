// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include <gshard/nn/kernels/clear_padding.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/tensor/operands.hpp>

namespace gshard {

namespace error {

template <class Mask>
struct PaddingMaskHeld {
  static_assert(
      always_false<Mask>,
      "gshard: a mask of padding is a tensor of int on the mesh of the tokens, held as their first dimensions are; reshard it so");
};

}  // namespace error

namespace nn {

namespace detail {

/// Whether `mask` says of each entry of the leading dimensions of `x` what it is.
template <AnyTensor X, AnyTensor Mask>
constexpr bool is_mask_of() {
  if constexpr (Mask::rank > X::rank || !std::is_same_v<typename Mask::value_type, int> ||
                !std::is_same_v<typename Mask::memory_space, typename X::memory_space>)
    return false;
  else return is_split_as<Mask, X>();
}

template <AnyTensor Tensor, AnyTensor Mask>
Tensor cleared(Tensor const& tokens, Mask const& mask) {
  Tensor const result = unset_like(tokens);
  record_kernel("clear padding", result, tokens, mask);
  std::int64_t const rows = mask.local_size();
  clear_padding<typename Tensor::memory_space>(
      rows, ClearPadding<typename Tensor::value_type>{mask.data(), tokens.data(), result.data(),
                                                      rows == 0 ? 0 : tokens.local_size() / rows});
  return result;
}

}  // namespace detail

/// As zero_padding, by a mask in place of lengths: returns x (G, S, ...) with the rows of padding, where `mask` (G, S)
/// is 0, set to zero, whatever they hold; so is their gradient. Padding is left out, not multiplied by 0: NaN and
/// infinities in it reach neither results nor gradients. Local. Throws StateError, MeshError or ExtentError where the
/// mask does not belong to the tokens.
template <class X, AnyTensor Mask>
auto clear_padding(X const& x, Mask const& mask) {
  using Tensor = detail::ValueTensor<X>;
  if constexpr (!detail::is_mask_of<Tensor, Mask>())
    using Refused [[maybe_unused]] = decltype(error::PaddingMaskHeld<Mask>{});
  Tensor const& tokens = detail::value_of(x);
  detail::require_rows_of("clear_padding", "mask", mask, "x", tokens);
  return detail::recorded_beside(
      x, detail::cleared(tokens, mask),
      [slot = detail::slot_of(x), mask](auto const& gradient) { slot.add(detail::cleared(gradient, mask)); });
}

}  // namespace nn
}  // namespace gshard
