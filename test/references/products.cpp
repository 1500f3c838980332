// SPDX-License-Identifier: Apache-2.0
#include "products.hpp"

#include <cstddef>

#include <doctest/doctest.h>

namespace gshard::test {

void add_products(std::map<char, std::int64_t> const& sizes, std::vector<Lettered<double const>> const& operands,
                  Lettered<double> const& result) {
  constexpr int most_tensors = 16, most_letters = 64;
  int const count = static_cast<int>(operands.size()), depth = static_cast<int>(sizes.size());
  REQUIRE((count < most_tensors && depth <= most_letters));
  std::int64_t extents[most_letters] = {};
  std::int64_t steps[most_letters][most_tensors] = {};  // how far the next index of a letter is; the result is last
  double const* elements[most_tensors] = {};
  auto const step_of = [&](std::string const& letters, char letter) {
    std::int64_t size = 1, sum = 0;
    for (std::size_t d = letters.size(); d-- > 0; size *= sizes.at(letters[d]))
      if (letters[d] == letter) sum += size;
    return sum;
  };
  int loop = 0;
  std::int64_t terms = 1;
  for (auto const& [letter, extent] : sizes) {
    extents[loop] = extent;
    terms *= extent;
    for (int t = 0; t < count; ++t) steps[loop][t] = step_of(operands[static_cast<std::size_t>(t)].letters, letter);
    steps[loop++][count] = step_of(result.letters, letter);
  }
  for (int t = 0; t < count; ++t) elements[t] = operands[static_cast<std::size_t>(t)].elements;

  std::int64_t at[most_tensors] = {};
  std::int64_t index[most_letters] = {};
  for (std::int64_t term = 0; term < terms; ++term) {
    double factor = 1;
    for (int t = 0; t < count; ++t) factor *= elements[t][at[t]];
    result.elements[at[count]] += factor;
    for (int i = depth - 1; i >= 0; --i) {
      bool const ends = ++index[i] == extents[i];
      for (int t = 0; t <= count; ++t) at[t] += ends ? (1 - extents[i]) * steps[i][t] : steps[i][t];
      if (!ends) break;
      index[i] = 0;
    }
  }
}

}  // namespace gshard::test
