// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gshard/tensor/spec.hpp>

// Lists of axes by name, for the specs of a mixture of experts.

namespace gshard::nn::detail {

constexpr bool has_name(AxisNames const& names, std::string_view name) {
  for (int i = 0; i < names.count(); ++i)
    if (names[i] == name) return true;
  return false;
}

/// The names of `all` without those of `removed`.
constexpr AxisNames names_without(AxisNames const& all, AxisNames const& removed) {
  gshard::detail::AxisNamesBuilder builder;
  for (int i = 0; i < all.count(); ++i)
    if (!has_name(removed, all[i])) builder.add(all[i]);
  return {builder.view(), false};
}

/// The names of `first`, and those of `second` that it lacks.
constexpr AxisNames names_of_both(AxisNames const& first, AxisNames const& second) {
  gshard::detail::AxisNamesBuilder builder;
  for (int i = 0; i < first.count(); ++i) builder.add(first[i]);
  for (int i = 0; i < second.count(); ++i)
    if (!has_name(first, second[i])) builder.add(second[i]);
  return {builder.view(), false};
}

}  // namespace gshard::nn::detail
