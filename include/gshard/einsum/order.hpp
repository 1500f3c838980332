// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <gshard/core/fixed_string.hpp>
#include <gshard/einsum/subscripts.hpp>

namespace gshard {

/// One step of a chained einsum: contracts the operands at positions `left` < `right` of the current list. The step
/// removes both and appends their product. `text` is the einsum of the two.
struct PairStep {
  int left = 0;
  int right = 1;
  FixedString text{""};

  /// Returns the position, in the list before the step, of remaining operand `i`.
  constexpr int position_of_rest(int i) const {
    if (i >= left) ++i;
    return i >= right ? i + 1 : i;
  }

  /// Removes the elements at `left` and `right` from a list.
  template <class T>
  constexpr void remove_from(StaticVector<T, max_operands>& list) const {
    StaticVector<T, max_operands> rest;
    for (int i = 0; i + 2 < list.size(); ++i) rest.push_back(list[position_of_rest(i)]);
    list = rest;
  }
};

/// Order of contraction: the steps that reduce all operands to one tensor.
using ContractionOrder = StaticVector<PairStep, max_operands - 1>;

namespace detail {

/// All orders are tried once this many operands remain: max_orders = 15, the binary trees with four labelled leaves.
inline constexpr int searched_operands = 4;
inline constexpr int max_orders = 15;

/// Letters of a tensor, or of the product of two tensors.
using Letters = StaticVector<char, 2 * max_rank>;

/// Set of letters, one bit each.
struct LetterSet {
  std::uint64_t bits = 0;

  constexpr LetterSet() = default;
  constexpr LetterSet(Letters const& letters) {
    for (char const letter : letters) add(letter);
  }

  static constexpr int position(char letter) { return letter >= 'a' ? letter - 'a' : 26 + letter - 'A'; }
  constexpr void add(char letter) { bits |= std::uint64_t{1} << position(letter); }
  constexpr int size() const { return std::popcount(bits); }
  /// Returns whether `other` is a subset.
  constexpr bool contains(LetterSet other) const { return (other.bits & ~bits) == 0; }
};

using LetterSets = StaticVector<LetterSet, max_operands - 1>;

/// Tests a condition that is sufficient for `sum_{s in small} prod_{l in s} extent_l <= sum_{t in large} prod_{l in t}
/// extent_l` for all extents >= 2.
/// Assigns each s in `small` to a superset t in `large`. t has room 1; s takes 2^-(|t| - |s|) of it, since each missing
/// letter at least halves the product. `room` holds the unassigned rest of each t; sets before `begin` are assigned.
constexpr bool fits_into(LetterSets const& small, LetterSets const& large, StaticVector<double, max_operands - 1> room,
                         int begin = 0) {
  if (begin == small.size()) return true;
  for (int i = 0; i < large.size(); ++i) {
    if (!large[i].contains(small[begin])) continue;
    double const taken = 1.0 / static_cast<double>(std::uint64_t{1} << (large[i].size() - small[begin].size()));
    if (taken > room[i]) continue;
    room[i] -= taken;
    if (fits_into(small, large, room, begin + 1)) return true;
    room[i] += taken;
  }
  return false;
}

/// Starts the test with room 1 in every set of `large`.
constexpr bool fits_into(LetterSets const& small, LetterSets const& large) {
  StaticVector<double, max_operands - 1> room;
  for (int i = 0; i < large.size(); ++i) room.push_back(1);
  return fits_into(small, large, room);
}

/// Extent of each letter of an einsum, as `double` so that their products cannot overflow.
struct LetterExtents {
  double extents[max_letters]{};

  constexpr void set(Labels const& letters, Extents const& of_letters) {
    for (int d = 0; d < letters.size(); ++d)
      extents[LetterSet::position(letters[d])] = static_cast<double>(of_letters[d]);
  }

  /// Returns the total number of elements of tensors with these letters.
  constexpr double elements(LetterSets const& tensors) const {
    double sum = 0;
    for (LetterSet const tensor : tensors) {
      double elements = 1;
      for (int i = 0; i < max_letters; ++i)
        if ((tensor.bits >> i & 1U) != 0) elements *= extents[i];
      sum += elements;
    }
    return sum;
  }
};

/// Order of contraction with what its cost depends on: the letters that each contraction loops over, and those of each
/// product but the last.
struct CostedOrder {
  ContractionOrder steps;
  LetterSets loops;
  LetterSets products;

  /// Returns true only if no extents >= 2 make `other` cheaper: fewer multiplications, or as many and smaller
  /// intermediate products.
  constexpr bool is_never_dearer_than(CostedOrder const& other) const {
    return fits_into(loops, other.loops) && (!fits_into(other.loops, loops) || fits_into(products, other.products));
  }

  /// Returns whether `extents` make this order cheaper than `other`: fewer multiplications in total, or as many and
  /// smaller intermediate products.
  constexpr bool is_cheaper_than(CostedOrder const& other, LetterExtents const& extents) const {
    double const work = extents.elements(loops);
    double const other_work = extents.elements(other.loops);
    return work < other_work || (work == other_work && extents.elements(products) < extents.elements(other.products));
  }
};

/// Collects the orders of contraction that some extents make the cheapest.
/// Considers all orders of up to searched_operands operands; reduces longer lists greedily (smallest_pair). `orders` is
/// empty if every considered order has a product of more than max_rank dimensions.
class OrderSearch {
 public:
  StaticVector<CostedOrder, max_orders> orders;

  constexpr explicit OrderSearch(Subscripts const& subscripts) : result_(letters_of(subscripts.result)) {
    Operands operands;
    for (Labels const& operand : subscripts.operands) operands.push_back(letters_of(operand));
    extend(operands, {});
  }

 private:
  using Operands = StaticVector<Letters, max_operands>;

  static constexpr Letters letters_of(Labels const& labels) {
    Letters letters;
    for (char const letter : labels) letters.push_back(letter);
    return letters;
  }

  /// Adds the orders that begin with `done`; `operands` are the remaining ones.
  constexpr void extend(Operands const& operands, CostedOrder const& done) {
    if (operands.size() == 1) return consider(done);
    if (operands.size() > searched_operands) {
      PairStep const pair = smallest_pair(operands);
      return contract(operands, pair.left, pair.right, done);
    }
    for (int left = 0; left < operands.size(); ++left)
      for (int right = left + 1; right < operands.size(); ++right) contract(operands, left, right, done);
  }

  /// Returns the pair whose product has the fewest letters. Ties: the fewest loops, then the leftmost pair. Sets
  /// positions only, no text.
  constexpr PairStep smallest_pair(Operands const& operands) const {
    PairStep smallest;
    int least = 64 * 64;
    for (int left = 0; left < operands.size(); ++left) {
      for (int right = left + 1; right < operands.size(); ++right) {
        Letters const letters = product(operands, left, right);
        int const size = 64 * letters.size() + loops_of(operands[left], operands[right], letters).size();
        if (size >= least) continue;
        least = size;
        smallest.left = left;
        smallest.right = right;
      }
    }
    return smallest;
  }

  /// Appends one contraction and extends the order; drops the order if the product has more than max_rank dimensions.
  constexpr void contract(Operands operands, int left, int right, CostedOrder order) {
    Letters const letters = operands.size() == 2 ? result_ : product(operands, left, right);
    if (letters.size() > max_rank) return;
    order.steps.push_back({left, right, text_of(operands[left], operands[right], letters)});
    order.loops.push_back(loops_of(operands[left], operands[right], letters));
    if (operands.size() > 2) order.products.push_back(letters);
    order.steps.back().remove_from(operands);
    operands.push_back(letters);
    extend(operands, order);
  }

  /// Keeps an order unless another order is never more expensive.
  constexpr void consider(CostedOrder const& order) {
    StaticVector<CostedOrder, max_orders> kept;
    for (CostedOrder const& other : orders) {
      if (other.is_never_dearer_than(order)) return;
      if (!order.is_never_dearer_than(other)) kept.push_back(other);
    }
    kept.push_back(order);
    orders = kept;
  }

  /// Returns the letters that the product of two operands keeps: those that the result or another operand has. The
  /// shared letters come first, then those of the left and of the right operand: the layout that a batched matrix
  /// product writes.
  constexpr Letters product(Operands const& operands, int left, int right) const {
    auto is_kept = [&](char letter) {
      bool kept = result_.contains(letter);
      for (int i = 0; i < operands.size(); ++i)
        kept = kept || (i != left && i != right && operands[i].contains(letter));
      return kept;
    };
    Letters letters;
    auto append = [&](Letters const& from, bool shared) {
      for (char const letter : from)
        if (is_kept(letter) && (operands[left].contains(letter) && operands[right].contains(letter)) == shared &&
            !letters.contains(letter))
          letters.push_back(letter);
    };
    append(operands[left], true);
    append(operands[left], false);
    append(operands[right], false);
    return letters;
  }

  /// Returns the letters that a contraction loops over. Letters of one operand alone that the product lacks are summed
  /// beforehand and do not count.
  static constexpr LetterSet loops_of(Letters const& left, Letters const& right, Letters const& product) {
    LetterSet loops = product;
    for (char const letter : left)
      if (right.contains(letter)) loops.add(letter);
    return loops;
  }

  /// Returns the einsum of one contraction, such as "ab,bc->ac".
  static constexpr FixedString text_of(Letters const& left, Letters const& right, Letters const& product) {
    char text[FixedString::capacity]{};
    std::size_t length = 0;
    auto append = [&](auto const& characters) {
      for (char const character : characters) text[length++] = character;
    };
    append(left);
    append(std::string_view(","));
    append(right);
    append(std::string_view("->"));
    append(product);
    return FixedString(std::string_view(text, length));
  }

  Letters result_;
};

}  // namespace detail
}  // namespace gshard
