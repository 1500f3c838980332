// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include <gshard/core/error.hpp>
#include <gshard/nn/kernels/zero_padding.hpp>
#include <gshard/nn/operation.hpp>

namespace gshard::nn {

namespace detail {

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
    throw ExtentError(gshard::detail::text(operation, ": dimension 1 of ", text_of(tokens), " has to be a multiple of ",
                                           sentences, ", dimension 1 of ", text_of(lengths), place_of(tokens)));
}

/// Throws StateError, MeshError or ExtentError unless `lengths` (G, N) are those of the sentences of `tokens`, (G, N *
/// L, M) or (G, N, L, M).
template <AnyTensor Lengths, AnyTensor Tokens>
void require_lengths_of(std::string_view operation, std::string_view lengths_role, Lengths const& lengths,
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

template <AnyTensor Tokens, AnyTensor Lengths>
Tokens without_padding(char const* operation, Tokens const& x, Lengths const& lengths) {
  using Space = typename Tokens::memory_space;
  Tokens const result = unset_like(x);
  record_kernel(operation, result, x, lengths);
  std::int64_t const sentences = lengths.extent(1);
  std::int64_t const places = Tokens::rank == 4 ? x.local_extent(2) : sentences == 0 ? 0 : x.extent(1) / sentences;
  zero_padding<typename Tokens::value_type, Space>(rows_of(x), row_of(lengths), rows_of(result), places,
                                                   Tokens::rank == 4 ? x.range(2).begin : 0);
  return result;
}

}  // namespace detail

/// Returns x with the places of padding set to 0: x (G, N * L, M), N sentences of L places one after the other, or
/// (G, N, L, M), whose dimensions may all be split; lengths (G, N) of int, split as G and N of x, count the words at
/// the head of each sentence. Padding is left out, not multiplied by 0: NaN in it changes neither results nor
/// gradients. Local. Throws ExtentError where G or N of x and lengths differ, or N does not divide the places of x (G,
/// S, M).
template <class X, AnyTensor Lengths>
auto zero_padding(X const& x, Lengths const& lengths) {
  using Tensor = detail::ValueTensor<X>;
  Tensor const& tokens = detail::value_of(x);
  detail::require_lengths_of("zero_padding", "lengths", lengths, "x", tokens);
  return detail::recorded_beside(x, detail::without_padding("zero_padding", tokens, lengths),
                                 [slot = detail::slot_of(x), lengths](auto const& gradient) {
                                   slot.add(detail::without_padding("zero_padding gradient", gradient, lengths));
                                 });
}

}  // namespace gshard::nn
