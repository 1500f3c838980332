// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gshard::test {

/// The elements of a dense tensor, row-major, and the letter of each of its dimensions.
template <class Number>
struct Lettered {
  std::string letters;
  Number* elements;
};

/// Adds to `result` the products of the operands' elements, by one loop for each letter: an einsum as it is defined.
/// A letter that a tensor has twice walks its diagonal.
void add_products(std::map<char, std::int64_t> const& sizes, std::vector<Lettered<double const>> const& operands,
                  Lettered<double> const& result);

}  // namespace gshard::test
