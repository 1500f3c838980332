// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gshard/autodiff/differentiable.hpp>
#include <gshard/core/compile_error.hpp>
#include <gshard/core/error.hpp>
#include <gshard/nn/kernels/zero_padding.hpp>
#include <gshard/nn/operation.hpp>
#include <gshard/tensor/operands.hpp>

// Padding is left out, not multiplied by 0: NaN and infinities in it reach neither results nor gradients.

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

/// Whether `mask` has a number for each entry of the leading dimensions of `x`.
template <AnyTensor X, AnyTensor Mask>
constexpr bool is_mask_of() {
  if constexpr (Mask::rank > X::rank || !std::is_same_v<typename Mask::value_type, int> ||
                !std::is_same_v<typename Mask::memory_space, typename X::memory_space>)
    return false;
  else return is_split_as<Mask, X>();
}

/// Whether lengths (G, N) lie beside tokens (G, N * L, M), each group's on one rank, or (G, N, L, M).
template <AnyTensor Lengths, AnyTensor Tokens>
constexpr bool are_lengths_of() {
  if constexpr (Lengths::rank != 2 || !std::is_same_v<typename Lengths::value_type, int>) return false;
  else if constexpr (Tokens::rank == 3) return is_split_as<Lengths, Tokens>() && Tokens::layout.dimensions[1].empty();
  else return Tokens::rank == 4 && is_split_as<Lengths, Tokens>();
}

/// Throws ExtentError unless `lengths` (G, N) has the groups of `tokens` (G, N * L, ...), and N divides their places.
inline void require_sentences_in(std::string_view operation, gshard::detail::Operand const& lengths,
                                 gshard::detail::Operand const& tokens) {
  gshard::detail::require_equal_extents(operation, lengths, 0, tokens, 0);
  std::int64_t const sentences = (*lengths.extents)[1], places = (*tokens.extents)[1];
  if (sentences == 0 ? places != 0 : places % sentences != 0)
    throw ExtentError(gshard::detail::concat(operation, ": dimension 1 of ", text_of(tokens),
                                             " has to be a multiple of ", sentences, ", dimension 1 of ",
                                             text_of(lengths), place_of(tokens)));
}

/// Throws StateError, MeshError or ExtentError unless `lengths` (G, N) are those of the sentences of `tokens`, (G, N *
/// L, M) or (G, N, L, M). Returns auto, so that it is instantiated where it is called, and the compiler points there.
template <AnyTensor Lengths, AnyTensor Tokens>
auto require_lengths_of(std::string_view operation, std::string_view lengths_role, Lengths const& lengths,
                        std::string_view tokens_role, Tokens const& tokens) {
  static_assert(
      are_lengths_of<Lengths, Tokens>(),
      "gshard: the lengths of sentences are (G, N) of int, beside tokens (G, N * L, M) or (G, N, L, M); reshard them so that G and N are split as those of the tokens");
  if constexpr (Tokens::rank == 4) {
    require_rows_of(operation, lengths_role, lengths, tokens_role, tokens);
  } else {
    gshard::detail::Operand const of_tokens(tokens_role, tokens), of_lengths(lengths_role, lengths);
    gshard::detail::require_one_mesh(operation, {of_tokens, of_lengths});
    require_sentences_in(operation, of_lengths, of_tokens);
  }
}

/// Returns x with the rows of padding set to 0. The block has `rows` rows; `tokens` reads from `held` which are tokens;
/// `operation` is the name in the ledger.
template <AnyTensor X, AnyTensor Held, class Tokens>
X zeroed(char const* operation, X const& x, Held const& held, std::int64_t rows, Tokens const& tokens) {
  X const result = empty_like(x);
  record_kernel(operation, result, x, held);
  std::int64_t const columns = rows == 0 ? 0 : x.local_size() / rows;
  for_each_row<typename X::memory_space>(
      "gshard::zero_padding", columns == 0 ? 0 : rows,
      ZeroPaddingKernel<typename X::value_type, Tokens>{x.data(), result.data(), columns, tokens});
  return result;
}

/// Returns x with its rows set to 0 where a mask (G, S, ...) is 0.
template <AnyTensor X, AnyTensor Mask>
X zeroed_by_mask(char const* operation, X const& x, Mask const& mask) {
  return zeroed(operation, x, mask, mask.local_size(), TokensOfMask{mask.data()});
}

/// Returns x with its rows set to 0 behind the first `lengths` (G, N) places of each sentence.
template <AnyTensor X, AnyTensor Lengths>
X zeroed_by_lengths(char const* operation, X const& x, Lengths const& lengths) {
  std::int64_t const sentences = lengths.extent(1);
  std::int64_t const places = X::rank == 4 ? x.local_extent(2) : sentences == 0 ? 0 : x.extent(1) / sentences;
  std::int64_t const rows = lengths.local_size() * places;
  return zeroed(operation, x, lengths, rows,
                TokensOfLengths{lengths.data(), places, X::rank == 4 ? x.range(2).begin : 0});
}

/// zero_padding of x and a mask, as an operation with a gradient.
struct ZeroPadding {
  template <int>
  static constexpr Reads reads = Reads::operand(1);

  template <AnyTensor X, AnyTensor Mask>
  auto forward(X const& x, Mask const& token_mask) const {
    if constexpr (!is_mask_of<X, Mask>()) using Refused [[maybe_unused]] = decltype(error::PaddingMaskHeld<Mask>{});
    require_floating_point<X>();
    require_rows_of("zero_padding", "token_mask", token_mask, "x", x);
    return zeroed_by_mask("zero_padding", x, token_mask);
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    std::get<0>(gradients).add(zeroed_by_mask("zero_padding gradient", gradient, std::get<1>(saved.operands)));
  }
};

/// zero_padding_by_lengths of x and lengths, as an operation with a gradient.
struct ZeroPaddingByLengths {
  template <int>
  static constexpr Reads reads = Reads::operand(1);

  template <AnyTensor X, AnyTensor Lengths>
  auto forward(X const& x, Lengths const& lengths) const {
    require_floating_point<X>();
    require_lengths_of("zero_padding_by_lengths", "lengths", lengths, "x", x);
    return zeroed_by_lengths("zero_padding", x, lengths);
  }

  void vjp(auto const& saved, auto const& gradient, auto const& gradients) const {
    std::get<0>(gradients).add(zeroed_by_lengths("zero_padding gradient", gradient, std::get<1>(saved.operands)));
  }
};

}  // namespace detail

/// Returns x (G, S, ...) with the rows of padding, where `token_mask` (G, S) is 0, set to 0; so is their gradient. The
/// mask is a tensor of int, split as the leading dimensions of x. Communication: none.
/// Throws StateError, MeshError or ExtentError if the mask does not belong to x.
template <TensorOperand X, TensorOperand Mask>
auto zero_padding(X&& x, Mask&& token_mask) {
  return Differentiable<detail::ZeroPadding>{}(std::forward<X>(x), std::forward<Mask>(token_mask));
}

/// Returns x with the rows of padding set to 0 as zero_padding, by the lengths of sentences. x (G, N * L, M), N
/// sentences of L places one after the other, or (G, N, L, M), whose dimensions may all be split; lengths (G, N) of
/// int, split as G and N of x, count the words at the head of each sentence. Communication: none.
/// Throws ExtentError if G or N of x and lengths differ, or N does not divide the places of x (G, S, M).
template <TensorOperand X, TensorOperand Lengths>
auto zero_padding_by_lengths(X&& x, Lengths&& lengths) {
  return Differentiable<detail::ZeroPaddingByLengths>{}(std::forward<X>(x), std::forward<Lengths>(lengths));
}

}  // namespace nn
}  // namespace gshard
