// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <type_traits>

#include <gshard/core/fixed_string.hpp>
#include <gshard/core/static_vector.hpp>
#include <gshard/tensor/layout.hpp>

namespace gshard {

/// The most operands of one einsum.
inline constexpr int max_operands = 8;

/// The most different letters of one einsum: a to z and A to Z.
inline constexpr int max_letters = 52;

/// The subscripts of an einsum, as in "gsec,gsm->egcm": one letter a dimension. Letters in no result are summed.
struct Subscripts {
  StaticVector<Labels, max_operands> operands;
  Labels result;

  friend constexpr bool operator==(Subscripts const&, Subscripts const&) = default;
};

/// The number of dimensions of each operand.
using OperandRanks = StaticVector<int, max_operands>;

namespace error {

/// Carries a letter of an einsum into a compiler's message.
template <char Value>
struct Letter {};

template <class Text>
struct SubscriptsMalformed {
  static_assert(
      always_false<Text>,
      "gshard: einsum subscripts are letters a-z, A-Z for each dimension, with ... at most once among those of one tensor, up to 8 "
      "operands separated by commas, an arrow and the result, as in \"ab,bc->ac\" or \"...ab,bc->...ac\"");
};

template <class Letter, class Text>
struct ResultLetterInNoOperand {
  static_assert(
      always_false<Letter>,
      "gshard: a letter of the einsum result is in no operand, so nothing says how long it is; remove it, or give it to an operand");
};

template <class Letter, class Text>
struct ResultLetterTwice {
  static_assert(
      always_false<Letter>,
      "gshard: a letter stands twice in the einsum result; name each result dimension by a letter of its own");
};

template <class Text>
struct ResultEllipsisInNoOperand {
  static_assert(
      always_false<Text>,
      "gshard: the einsum result has ... but no operand has, so nothing says which dimensions it stands for; remove it, or give it to an "
      "operand");
};

template <class Text>
struct SubscriptsTooLong {
  static_assert(
      always_false<Text>,
      "gshard: an einsum operand or result has more than 8 letters, with those that ... stands for: the most dimensions a Kokkos::View can "
      "have");
};

}  // namespace error

namespace detail {

struct SubscriptsFault {
  enum Kind {
    none,
    malformed,
    too_long,
    result_letter_in_no_operand,
    result_letter_twice,
    result_ellipsis_in_no_operand
  } kind = none;
  char letter = '\0';
};

struct ParsedSubscripts {
  Subscripts subscripts;
  SubscriptsFault fault;
};

constexpr bool is_letter(char character) {
  return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
}

/// The letters of one tensor as written, and how many stand before `...`; -1 where there is none.
struct SubscriptsTerm {
  Labels letters;
  int before_ellipsis = -1;

  constexpr bool has_ellipsis() const { return before_ellipsis >= 0; }
};

constexpr SubscriptsTerm parse_term(std::string_view text, SubscriptsFault& fault) {
  SubscriptsTerm term;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ') continue;
    if (text.substr(i, 3) == "..." && !term.has_ellipsis()) {
      term.before_ellipsis = term.letters.size();
      i += 2;
    } else if (!is_letter(text[i])) {
      fault.kind = SubscriptsFault::malformed;
      return term;
    } else if (term.letters.size() == max_rank) {
      fault.kind = SubscriptsFault::too_long;
      return term;
    } else {
      term.letters.push_back(text[i]);
    }
  }
  return term;
}

/// The letters of a tensor with the last `count` of `leading` in the place of its `...`.
constexpr Labels expand_term(SubscriptsTerm const& term, Labels const& leading, int count, SubscriptsFault& fault) {
  if (!term.has_ellipsis()) return term.letters;
  Labels letters;
  if (term.letters.size() + count > max_rank) {
    fault.kind = SubscriptsFault::too_long;
    return letters;
  }
  for (int i = 0; i < term.before_ellipsis; ++i) letters.push_back(term.letters[i]);
  for (int i = leading.size() - count; i < leading.size(); ++i) letters.push_back(leading[i]);
  for (int i = term.before_ellipsis; i < term.letters.size(); ++i) letters.push_back(term.letters[i]);
  return letters;
}

/// The first `count` capital letters, then small ones, that `text` does not use.
constexpr Labels unused_letters(std::string_view text, int count) {
  Labels unused;
  for (int i = 0; i < max_letters && unused.size() < count; ++i) {
    char const letter = static_cast<char>(i < 26 ? 'A' + i : 'a' + i - 26);
    bool used = false;
    for (char const character : text) used = used || character == letter;
    if (!used) unused.push_back(letter);
  }
  return unused;
}

/// The letter of the result that is wrong first, if any.
constexpr SubscriptsFault examine_result(Subscripts const& subscripts) {
  Labels seen;
  for (char const letter : subscripts.result) {
    if (seen.contains(letter)) return {SubscriptsFault::result_letter_twice, letter};
    bool known = false;
    for (Labels const& operand : subscripts.operands) known = known || operand.contains(letter);
    if (!known) return {SubscriptsFault::result_letter_in_no_operand, letter};
    seen.push_back(letter);
  }
  return {};
}

/// The subscripts of a text for operands of these ranks. Without ranks, `...` stands for nothing.
constexpr ParsedSubscripts parse_subscripts(std::string_view text, OperandRanks const& ranks = {}) {
  ParsedSubscripts parsed;
  SubscriptsFault& fault = parsed.fault;
  // With -fsanitize=undefined, GCC does not take std::string_view::find for a constant expression.
  std::size_t arrow = 0;
  while (arrow + 1 < text.size() && (text[arrow] != '-' || text[arrow + 1] != '>')) ++arrow;
  if (arrow + 1 >= text.size()) return {{}, {SubscriptsFault::malformed}};
  StaticVector<SubscriptsTerm, max_operands> operands;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= arrow; ++i) {
    if (i < arrow && text[i] != ',') continue;
    if (operands.size() == max_operands) return {{}, {SubscriptsFault::malformed}};
    operands.push_back(parse_term(text.substr(begin, i - begin), fault));
    begin = i + 1;
  }
  SubscriptsTerm const result = parse_term(text.substr(arrow + 2), fault);
  if (fault.kind != SubscriptsFault::none) return parsed;

  StaticVector<int, max_operands> leading;
  int most_leading = 0;
  bool some_ellipsis = false;
  for (int i = 0; i < operands.size(); ++i) {
    int const rest = i < ranks.size() && operands[i].has_ellipsis() ? ranks[i] - operands[i].letters.size() : 0;
    leading.push_back(rest > 0 ? rest : 0);
    most_leading = leading[i] > most_leading ? leading[i] : most_leading;
    some_ellipsis = some_ellipsis || operands[i].has_ellipsis();
  }
  if (result.has_ellipsis() && !some_ellipsis) return {{}, {SubscriptsFault::result_ellipsis_in_no_operand}};
  Labels const letters = unused_letters(text, most_leading);
  for (int i = 0; i < operands.size(); ++i)
    parsed.subscripts.operands.push_back(expand_term(operands[i], letters, leading[i], fault));
  parsed.subscripts.result = expand_term(result, letters, most_leading, fault);
  if (fault.kind == SubscriptsFault::none) fault = examine_result(parsed.subscripts);
  return parsed;
}

template <FixedString Text, std::size_t... Positions>
constexpr auto text_letters(std::index_sequence<Positions...>) {
  return error::Name<Text.text[Positions]...>{};
}

template <FixedString Text>
using TextLetters = decltype(text_letters<Text>(std::make_index_sequence<Text.view().size()>{}));

/// The mistake in the subscripts of operands of these ranks; void for none.
template <FixedString Text, int... Ranks>
constexpr auto subscripts_mistake() {
  constexpr SubscriptsFault fault = parse_subscripts(Text.view(), OperandRanks{Ranks...}).fault;
  using Name = TextLetters<Text>;
  if constexpr (fault.kind == SubscriptsFault::malformed) return std::type_identity<error::SubscriptsMalformed<Name>>{};
  else if constexpr (fault.kind == SubscriptsFault::too_long)
    return std::type_identity<error::SubscriptsTooLong<Name>>{};
  else if constexpr (fault.kind == SubscriptsFault::result_letter_in_no_operand)
    return std::type_identity<error::ResultLetterInNoOperand<error::Letter<fault.letter>, Name>>{};
  else if constexpr (fault.kind == SubscriptsFault::result_letter_twice)
    return std::type_identity<error::ResultLetterTwice<error::Letter<fault.letter>, Name>>{};
  else if constexpr (fault.kind == SubscriptsFault::result_ellipsis_in_no_operand)
    return std::type_identity<error::ResultEllipsisInNoOperand<Name>>{};
  else return std::type_identity<void>{};
}

template <FixedString Text, int... Ranks>
consteval Subscripts checked_subscripts() {
  using Mistake = typename decltype(subscripts_mistake<Text, Ranks...>())::type;
  if constexpr (!std::is_void_v<Mistake>) {
    using Refused [[maybe_unused]] = decltype(Mistake{});
  }
  return parse_subscripts(Text.view(), OperandRanks{Ranks...}).subscripts;
}

}  // namespace detail

/// How many operands `Text` names.
template <FixedString Text>
inline constexpr int operand_count = detail::parse_subscripts(Text.view()).subscripts.operands.size();

/// The subscripts that `Text` spells for operands of these ranks. `...` stands for the dimensions of an operand that
/// have no letter; they are aligned at the last one where operands have different numbers of them, and the result has
/// them all. Does not compile where the text is malformed.
template <FixedString Text, int... Ranks>
inline constexpr Subscripts subscripts_of = detail::checked_subscripts<Text, Ranks...>();

}  // namespace gshard
