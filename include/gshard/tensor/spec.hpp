// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include <gshard/core/static_vector.hpp>
#include <gshard/mesh/axis.hpp>

namespace gshard {

/// The extent of a dimension that is only known at run time.
inline constexpr std::int64_t dynamic_extent = -1;

/// The names of the mesh axes that split one dimension, major first: "data", or "data,expert", or none (`_`); and its
/// extent where the type fixes it. Made from a string literal inside `Spec<...>`; blanks around names are dropped.
struct AxisNames {
  static constexpr int capacity = 48;
  char text[capacity]{};
  bool is_partial = false;
  /// One more than the extent, 0 for a dynamic one: names alone keep short symbols.
  std::int64_t extent_code = 0;

  template <std::size_t Size>
  consteval AxisNames(char const (&literal)[Size]) {
    static_assert(Size <= capacity, "gshard: the axis names of one dimension have at most 47 characters");
    int length = 0;
    for (std::size_t i = 0; i + 1 < Size; ++i) {
      // A blank inside of a name stays, for the compiler to refuse it.
      bool const is_before_name = length == 0 || text[length - 1] == ',';
      std::size_t next = i;
      while (next + 1 < Size && literal[next] == ' ') ++next;
      bool const is_behind_name = next + 1 >= Size || literal[next] == ',';
      if (literal[i] != ' ' || (!is_before_name && !is_behind_name)) text[length++] = literal[i];
    }
  }

  constexpr AxisNames(std::string_view names, bool partial, std::int64_t extent = dynamic_extent)
      : is_partial(partial), extent_code(extent + 1) {
    if (names.size() >= capacity) detail::list_is_full(capacity - 1);
    for (std::size_t i = 0; i < names.size(); ++i) text[i] = names[i];
  }

  /// All members in order: nvcc writes a value into the code that it hands to the host compiler as `AxisNames{{'d',
  /// ...}, false, 0}`.
  constexpr AxisNames(char const (&characters)[capacity], bool partial, std::int64_t code = 0)
      : is_partial(partial), extent_code(code) {
    for (int i = 0; i < capacity; ++i) text[i] = characters[i];
  }

  constexpr std::int64_t extent() const { return extent_code - 1; }

  constexpr std::string_view view() const { return {text}; }
  constexpr bool empty() const { return text[0] == '\0'; }

  /// Whether this is a list of names that axes can have, separated by single commas, or empty.
  constexpr bool is_well_formed() const {
    for (int i = 0; i < count(); ++i)
      if (!detail::is_axis_name((*this)[i])) return false;
    return std::string_view(text, capacity).find_last_not_of('\0') + 1 == view().size();
  }

  /// How many names are listed.
  constexpr int count() const {
    if (empty()) return 0;
    int commas = 0;
    for (char character : view()) commas += character == ',' ? 1 : 0;
    return commas + 1;
  }

  /// The name at position `index`.
  constexpr std::string_view operator[](int index) const {
    int begin = 0;
    for (; index > 0; --index)
      while (text[begin++] != ',') {
      }
    int end = begin;
    while (text[end] != ',' && text[end] != '\0') ++end;
    return {text + begin, static_cast<std::size_t>(end - begin)};
  }

  friend constexpr bool operator==(AxisNames const&, AxisNames const&) = default;
};

namespace detail {

/// A list of names being put together.
struct AxisNamesBuilder {
  char text[AxisNames::capacity]{};
  std::size_t length = 0;

  constexpr void add(std::string_view name) {
    if (length + 1 + name.size() >= AxisNames::capacity) list_is_full(AxisNames::capacity - 1);
    if (length > 0) text[length++] = ',';
    for (char character : name) text[length++] = character;
  }
  constexpr std::string_view view() const { return {text, length}; }
};

/// Partial axes form a set: their names in alphabetical order, so that one set is one type.
constexpr AxisNames partial_names(AxisNames const& names) {
  if (!names.is_well_formed()) return {names.view(), true};
  AxisNamesBuilder sorted;
  std::string_view last;
  for (int i = 0; i < names.count(); ++i) {
    std::string_view next;
    for (int j = 0; j < names.count(); ++j)
      if (names[j] > last && (next.empty() || names[j] < next)) next = names[j];
    if (next.empty()) break;
    sorted.add(next);
    last = next;
  }
  return {sorted.view(), true};
}

}  // namespace detail

/// A dimension that no axis splits.
inline constexpr AxisNames _{""};

/// A dimension whose extent the type fixes, that no axis splits or the named axes do, as in `Spec<extent("data", 64),
/// _, extent(512)>`.
consteval AxisNames extent(std::int64_t extent) { return {std::string_view(), false, extent}; }
consteval AxisNames extent(AxisNames const& names, std::int64_t extent) { return {names.view(), false, extent}; }

/// An entry of a spec that is no dimension: the tensor is the sum of what the ranks along these axes hold, as in
/// `Spec<"data", _, partial("expert")>`.
consteval AxisNames partial(AxisNames const& names) { return detail::partial_names(names); }

/// Which mesh axes split each dimension, in the order of the dimensions; `partial("axis")` last, where the tensor is an
/// unreduced sum. Extents that the type fixes are optional: they are checked against each other where tensors meet, by
/// the compiler.
template <AxisNames... Entries>
struct Spec {
  static constexpr int partial_entries = (0 + ... + (Entries.is_partial ? 1 : 0));
  static_assert(partial_entries <= 1,
                "gshard: a spec has one partial(...) entry; list its axes in one string, partial(\"data,expert\")");

  static_assert((Entries.is_well_formed() && ...),
                "gshard: an entry of a spec lists names of mesh axes, separated by single commas");
  static_assert(((Entries.extent() >= dynamic_extent) && ...), "gshard: an extent that the type fixes is 0 or more");

  /// The number of dimensions.
  static constexpr int rank = static_cast<int>(sizeof...(Entries)) - partial_entries;

  /// The axes of dimension `dimension`.
  static constexpr AxisNames dimension(int dimension) {
    AxisNames const entries[]{Entries..., AxisNames{""}};
    for (AxisNames const& entry : entries)
      if (!entry.is_partial && dimension-- == 0) return entry;
    return AxisNames{""};
  }

  /// The extents, `dynamic_extent` where they are only known at run time.
  static constexpr Extents static_extents() {
    Extents result;
    for (int d = 0; d < rank; ++d) result.push_back(dimension(d).extent());
    return result;
  }

  /// The axes over which the tensor is an unreduced sum.
  static constexpr AxisNames partial_axes() {
    AxisNames result{"", true};
    for (AxisNames const& entry : {Entries..., AxisNames{""}})
      if (entry.is_partial) result = entry;
    return result;
  }
};

}  // namespace gshard
