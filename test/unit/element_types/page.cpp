// SPDX-License-Identifier: Apache-2.0
// Reads the table of docs/element_types.md.
#include <fstream>
#include <string>
#include <vector>

#include "element_types.hpp"

namespace gshard::test {

std::string types_on_the_page(std::string const& operation) {
  std::ifstream page(GSHARD_ELEMENT_TYPES_PAGE);
  std::string const columns[] = {"float", "double", "BFloat16", "int32", "int64"};
  for (std::string line; std::getline(page, line);) {
    std::vector<std::string> cells;
    for (std::size_t begin = 0, end; (end = line.find('|', begin)) != std::string::npos; begin = end + 1) {
      std::string const cell = line.substr(begin, end - begin);
      std::size_t const first = cell.find_first_not_of(' '), last = cell.find_last_not_of(' ');
      cells.push_back(first == std::string::npos ? "" : cell.substr(first, last - first + 1));
    }
    if (cells.size() < 7 || cells[1] != operation) continue;
    std::string types;
    for (std::size_t i = 0; i < 5; ++i)
      if (cells[i + 2].starts_with("yes")) types += (types.empty() ? "" : " ") + columns[i];
    return types;
  }
  return "no row";
}

}  // namespace gshard::test
