// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include <gshard/core/static_vector.hpp>
#include <gshard/mesh/axis.hpp>

namespace gshard {

/// Marks the extent of a dimension that is known at run time only.
inline constexpr std::int64_t dynamic_extent = -1;

/// Entry of a Spec: the mesh axes that split one dimension, and the extent of the dimension if the type fixes it.
/// Axes are listed major first: "data", or "data,expert", or none (`_`).
/// Converts from a string literal inside `Spec<...>`.
struct AxisNames {
  /// Size of `text`, its terminating zero included.
  static constexpr int capacity = 48;
  char text[capacity]{};
  /// Whether the entry lists the axes of an unreduced sum instead of a dimension.
  bool is_partial = false;
  /// extent + 1; 0 means dynamic. Zero in the common case keeps mangled names short.
  std::int64_t extent_code = 0;

  /// Converts a string literal; drops blanks around names.
  template <std::size_t Size>
  consteval AxisNames(char const (&literal)[Size]) {
    static_assert(Size <= capacity, "gshard: the axis names of one dimension have at most 47 characters");
    int length = 0;
    for (std::size_t i = 0; i + 1 < Size; ++i) {
      // Keeps blanks inside a name, so that is_well_formed rejects them.
      bool const is_before_name = length == 0 || text[length - 1] == ',';
      std::size_t next = i;
      while (next + 1 < Size && literal[next] == ' ') ++next;
      bool const is_behind_name = next + 1 >= Size || literal[next] == ',';
      if (literal[i] != ' ' || (!is_before_name && !is_behind_name)) text[length++] = literal[i];
    }
  }

  /// Makes an entry of names that are separated by commas without blanks.
  /// Does not compile, or throws ExtentError at run time, if `names` has more than 47 characters.
  constexpr AxisNames(std::string_view names, bool partial, std::int64_t extent = dynamic_extent)
      : is_partial(partial), extent_code(extent + 1) {
    if (names.size() >= capacity) detail::list_is_full(capacity - 1);
    for (std::size_t i = 0; i < names.size(); ++i) text[i] = names[i];
  }

  /// Sets all members in order: nvcc passes a template argument to the host compiler as
  /// `AxisNames{{'d', ...}, false, 0}`.
  constexpr AxisNames(char const (&characters)[capacity], bool partial, std::int64_t code = 0)
      : is_partial(partial), extent_code(code) {
    for (int i = 0; i < capacity; ++i) text[i] = characters[i];
  }

  /// Returns the extent that the type fixes, or `dynamic_extent`.
  constexpr std::int64_t extent() const { return extent_code - 1; }

  /// Returns the names as one text.
  constexpr std::string_view view() const { return {text}; }
  /// Returns whether no axis is listed.
  constexpr bool empty() const { return text[0] == '\0'; }

  /// Returns whether the text is empty, or lists valid axis names separated by single commas.
  constexpr bool is_well_formed() const {
    for (int i = 0; i < count(); ++i)
      if (!detail::is_axis_name((*this)[i])) return false;
    return std::string_view(text, capacity).find_last_not_of('\0') + 1 == view().size();
  }

  /// Returns the number of names.
  constexpr int count() const {
    if (empty()) return 0;
    int commas = 0;
    for (char character : view()) commas += character == ',' ? 1 : 0;
    return commas + 1;
  }

  /// Returns the name at position `index`.
  /// Precondition: 0 <= index < count().
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

/// Joins names by commas. `add` throws ExtentError if the text exceeds the capacity of AxisNames.
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

/// Returns a partial entry of the names, sorted and without repetition. Partial axes form a set: one set, one type.
/// Returns text that is not well formed unchanged, so that Spec rejects it.
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

/// Spec entry of a dimension that no axis splits.
inline constexpr AxisNames _{""};

/// Returns the Spec entry of a dimension of fixed extent that no axis splits, as in `Spec<"data", extent(512)>`.
consteval AxisNames extent(std::int64_t extent) { return {std::string_view(), false, extent}; }
/// Returns the Spec entry of a dimension of fixed extent that `names` split, as in `Spec<extent("data", 64), _>`.
consteval AxisNames extent(AxisNames const& names, std::int64_t extent) { return {names.view(), false, extent}; }

/// Returns the Spec entry of an unreduced sum over `names`, as in `Spec<"data", _, partial("expert")>`.
/// The tensor is the sum of the blocks that the ranks along these axes hold. The entry is not a dimension.
consteval AxisNames partial(AxisNames const& names) { return detail::partial_names(names); }

/// Placement of a tensor: the mesh axes that split each dimension, one entry per dimension, in order.
/// One further entry, `partial("axis")`, by convention the last, declares an unreduced sum.
/// Fixed extents, `extent(...)`, are optional; the compiler compares them where tensors meet.
/// Does not compile if an entry is malformed, or there is more than one partial entry.
/// Source: sharding annotations, paper 3.2.
template <AxisNames... Entries>
struct Spec {
  /// Number of partial entries: 0 or 1.
  static constexpr int partial_entries = (0 + ... + (Entries.is_partial ? 1 : 0));
  static_assert(partial_entries <= 1,
                "gshard: a spec has one partial(...) entry; list its axes in one string, partial(\"data,expert\")");

  static_assert((Entries.is_well_formed() && ...),
                "gshard: an entry of a spec lists names of mesh axes, separated by single commas");
  static_assert(((Entries.extent() >= dynamic_extent) && ...), "gshard: an extent that the type fixes is 0 or more");

  /// Number of dimensions.
  static constexpr int rank = static_cast<int>(sizeof...(Entries)) - partial_entries;

  /// Returns the entry of `dimension`; an empty entry if there is no such dimension.
  static constexpr AxisNames dimension(int dimension) {
    AxisNames const entries[]{Entries..., AxisNames{""}};
    for (AxisNames const& entry : entries)
      if (!entry.is_partial && dimension-- == 0) return entry;
    return AxisNames{""};
  }

  /// Returns the extents that the type fixes; `dynamic_extent` where it does not.
  static constexpr Extents static_extents() {
    Extents result;
    for (int d = 0; d < rank; ++d) result.push_back(dimension(d).extent());
    return result;
  }

  /// Returns the axes over which the tensor is an unreduced sum; an empty entry if there are none.
  static constexpr AxisNames partial_axes() {
    AxisNames result{"", true};
    for (AxisNames const& entry : {Entries..., AxisNames{""}})
      if (entry.is_partial) result = entry;
    return result;
  }
};

}  // namespace gshard
