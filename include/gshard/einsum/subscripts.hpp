// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <type_traits>

#include <gshard/core/fixed_string.hpp>
#include <gshard/core/static_vector.hpp>
#include <gshard/tensor/layout.hpp>

namespace gshard {

/// The subscripts of an einsum of one or two operands, as in "gsec,gsm->egcm": one letter a dimension. Letters in no result are summed.
struct Subscripts {
  StaticVector<Labels, 2> operands;
  Labels result;

  friend constexpr bool operator==(Subscripts const&, Subscripts const&) = default;
};

namespace error {

/// Carries a letter of an einsum into a compiler's message.
template <char Value>
struct Letter {};

template <class Text>
struct SubscriptsMalformed {
  static_assert(always_false<Text>,
                "gshard: einsum subscripts are letters a-z, A-Z for each dimension, one or two operands separated by a comma, an arrow and the "
                "result, as in \"ab,bc->ac\"");
};

template <class Letter, class Text>
struct ResultLetterInNoOperand {
  static_assert(always_false<Letter>,
                "gshard: a letter of the einsum result is in no operand, so nothing says how long it is; remove it, or give it to an operand");
};

template <class Letter, class Text>
struct ResultLetterTwice {
  static_assert(always_false<Letter>, "gshard: a letter stands twice in the einsum result; name each result dimension by a letter of its own");
};

template <class Text>
struct SubscriptsTooLong {
  static_assert(always_false<Text>, "gshard: an einsum operand or result has more than 8 letters, the most dimensions a Kokkos::View can have");
};

}  // namespace error

namespace detail {

struct SubscriptsFault {
  enum Kind { none, malformed, too_long, result_letter_in_no_operand, result_letter_twice } kind = none;
  char letter = '\0';
};

struct ParsedSubscripts {
  Subscripts subscripts;
  SubscriptsFault fault;
};

constexpr bool is_letter(char character) {
  return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
}

constexpr ParsedSubscripts parse_subscripts(std::string_view text) {
  ParsedSubscripts parsed;
  auto& [subscripts, fault] = parsed;
  // With -fsanitize=undefined, GCC does not take std::string_view::find for a constant expression.
  std::size_t arrow = 0;
  while (arrow + 1 < text.size() && (text[arrow] != '-' || text[arrow + 1] != '>')) ++arrow;
  if (arrow + 1 >= text.size()) return {subscripts, {SubscriptsFault::malformed}};
  Labels current;
  for (std::size_t i = 0; i <= arrow; ++i) {
    char const character = i < arrow ? text[i] : ',';
    if (character == ' ') continue;
    if (character == ',') {
      if (subscripts.operands.size() == 2) return {subscripts, {SubscriptsFault::malformed}};
      subscripts.operands.push_back(current);
      current = {};
    } else if (!is_letter(character)) {
      return {subscripts, {SubscriptsFault::malformed}};
    } else if (current.size() == max_rank) {
      return {subscripts, {SubscriptsFault::too_long}};
    } else {
      current.push_back(character);
    }
  }
  for (char const character : text.substr(arrow + 2)) {
    if (character == ' ') continue;
    if (!is_letter(character)) return {subscripts, {SubscriptsFault::malformed}};
    if (subscripts.result.size() == max_rank) return {subscripts, {SubscriptsFault::too_long}};
    if (subscripts.result.contains(character)) return {subscripts, {SubscriptsFault::result_letter_twice, character}};
    bool known = false;
    for (Labels const& operand : subscripts.operands) known = known || operand.contains(character);
    if (!known) return {subscripts, {SubscriptsFault::result_letter_in_no_operand, character}};
    subscripts.result.push_back(character);
  }
  return parsed;
}

template <FixedString Text, std::size_t... Positions>
constexpr auto text_letters(std::index_sequence<Positions...>) {
  return error::Name<Text.text[Positions]...>{};
}

template <FixedString Text>
using TextLetters = decltype(text_letters<Text>(std::make_index_sequence<Text.view().size()>{}));

template <FixedString Text>
consteval Subscripts checked_subscripts() {
  constexpr ParsedSubscripts parsed = parse_subscripts(Text.view());
  constexpr SubscriptsFault fault = parsed.fault;
  using Name = TextLetters<Text>;
  if constexpr (fault.kind == SubscriptsFault::malformed) (void)sizeof(error::SubscriptsMalformed<Name>);
  if constexpr (fault.kind == SubscriptsFault::too_long) (void)sizeof(error::SubscriptsTooLong<Name>);
  if constexpr (fault.kind == SubscriptsFault::result_letter_in_no_operand)
    (void)sizeof(error::ResultLetterInNoOperand<error::Letter<fault.letter>, Name>);
  if constexpr (fault.kind == SubscriptsFault::result_letter_twice) (void)sizeof(error::ResultLetterTwice<error::Letter<fault.letter>, Name>);
  return parsed.subscripts;
}

}  // namespace detail

/// The subscripts that `Text` spells. Does not compile where they are malformed.
template <FixedString Text>
inline constexpr Subscripts subscripts_of = detail::checked_subscripts<Text>();

}  // namespace gshard
