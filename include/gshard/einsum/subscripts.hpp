// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <type_traits>

#include <gshard/core/fixed_string.hpp>
#include <gshard/core/static_vector.hpp>
#include <gshard/tensor/layout.hpp>

namespace gshard {

/// Maximum number of operands of one einsum.
inline constexpr int max_operands = 8;

/// Maximum number of distinct letters in one einsum: a-z and A-Z.
inline constexpr int max_letters = 52;

/// Parsed subscripts of an einsum, such as "gsec,gsm->egcm": one letter per dimension.
/// Letters that the result lacks are summed over.
struct Subscripts {
  StaticVector<Labels, max_operands> operands;
  Labels result;

  friend constexpr bool operator==(Subscripts const&, Subscripts const&) = default;
};

/// Number of dimensions of each operand.
using OperandRanks = StaticVector<int, max_operands>;

namespace error {

/// Carries a letter of an einsum as a template argument, for compiler messages.
template <char Value>
struct Letter {};

/// Reports subscripts that are not of the form "ab,bc->ac".
template <class Text>
struct SubscriptsMalformed {
  static_assert(
      always_false<Text>,
      "gshard: einsum subscripts are letters a-z, A-Z for each dimension, with ... at most once among those of one tensor, up to 8 "
      "operands separated by commas, an arrow and the result, as in \"ab,bc->ac\" or \"...ab,bc->...ac\"");
};

/// Reports a letter of the result that no operand has.
template <class Letter, class Text>
struct ResultLetterInNoOperand {
  static_assert(
      always_false<Letter>,
      "gshard: a letter of the einsum result is in no operand, so nothing says how long it is; remove it, or give it to an operand");
};

/// Reports a letter that the result has twice.
template <class Letter, class Text>
struct ResultLetterTwice {
  static_assert(
      always_false<Letter>,
      "gshard: a letter stands twice in the einsum result; name each result dimension by a letter of its own");
};

/// Reports a `...` in the result while no operand has one.
template <class Text>
struct ResultEllipsisInNoOperand {
  static_assert(
      always_false<Text>,
      "gshard: the einsum result has ... but no operand has, so nothing says which dimensions it stands for; remove it, or give it to an "
      "operand");
};

/// Reports an operand or a result with more than max_rank dimensions.
template <class Text>
struct SubscriptsTooLong {
  static_assert(
      always_false<Text>,
      "gshard: an einsum operand or result has more than 8 letters, with those that ... stands for: the most dimensions a Kokkos::View can "
      "have");
};

}  // namespace error

namespace detail {

/// Mistake in subscripts. `letter` is the wrong letter of the result, '\0' for other kinds.
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

/// Result of parsing. `subscripts` is valid if `fault.kind` is `none`.
struct ParsedSubscripts {
  Subscripts subscripts;
  SubscriptsFault fault;
};

constexpr bool is_letter(char character) {
  return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
}

/// Subscripts of one tensor as written: its letters, and how many precede `...` (-1 without `...`).
struct SubscriptsTerm {
  Labels letters;
  int before_ellipsis = -1;

  constexpr bool has_ellipsis() const { return before_ellipsis >= 0; }
};

/// Parses the subscripts of one tensor; spaces are skipped.
/// Sets `fault` if `text` has another character, a second `...`, or more than max_rank letters.
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

/// Returns the letters of a tensor, with `...` replaced by the last `count` letters of `leading`.
/// Sets `fault` if these are more than max_rank letters.
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

/// Returns the first `count` letters, A-Z before a-z, that `text` does not use.
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

/// Returns the first mistake in the letters of the result.
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

/// Parses subscripts for operands of these ranks. Without ranks, `...` stands for no dimensions.
constexpr ParsedSubscripts parse_subscripts(std::string_view text, OperandRanks const& ranks = {}) {
  ParsedSubscripts parsed;
  SubscriptsFault& fault = parsed.fault;
  // With -fsanitize=undefined, GCC rejects std::string_view::find in a constant expression.
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

/// Spells `Text` as a pack of characters, the form in which errors name it.
template <FixedString Text, std::size_t... Positions>
constexpr auto text_letters(std::index_sequence<Positions...>) {
  return error::Name<Text.text[Positions]...>{};
}

template <FixedString Text>
using TextLetters = decltype(text_letters<Text>(std::make_index_sequence<Text.view().size()>{}));

/// Returns the error class for `Text` with operands of these ranks; void if there is no mistake.
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

/// Returns the parsed subscripts. Does not compile if `Text` has a mistake.
template <FixedString Text, int... Ranks>
consteval Subscripts checked_subscripts() {
  using Mistake = typename decltype(subscripts_mistake<Text, Ranks...>())::type;
  if constexpr (!std::is_void_v<Mistake>) {
    using Refused [[maybe_unused]] = decltype(Mistake{});
  }
  return parse_subscripts(Text.view(), OperandRanks{Ranks...}).subscripts;
}

}  // namespace detail

/// Number of operands in the subscripts `Text`; unspecified if `Text` is malformed.
template <FixedString Text>
inline constexpr int operand_count = detail::parse_subscripts(Text.view()).subscripts.operands.size();

/// Subscripts that `Text` spells for operands of these ranks.
/// `...` stands for the dimensions of an operand that have no letter. Operands with different numbers of them are
/// aligned at the last one; the result has the largest number.
/// Does not compile if `Text` is malformed, has more than 8 operands or more than 8 dimensions per tensor, or if a
/// letter of the result is repeated or in no operand.
template <FixedString Text, int... Ranks>
inline constexpr Subscripts subscripts_of = detail::checked_subscripts<Text, Ranks...>();

}  // namespace gshard
