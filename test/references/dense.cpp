// SPDX-License-Identifier: Apache-2.0
#include "dense.hpp"

#include <cmath>
#include <cstddef>
#include <map>
#include <sstream>

#include <mpi.h>

#include "mpi_test.hpp"
#include "products.hpp"

namespace gshard::test {

Values dense_values(Extents const& extents, std::int64_t seed, int parts, ValueOfPosition value) {
  Values result(static_cast<std::size_t>(product(extents)));
  for (int part = 0; part < parts; ++part)
    for (std::size_t i = 0; i < result.size(); ++i) result[i] += value(seed + part, static_cast<std::int64_t>(i));
  return result;
}

Dense smooth_values(Extents const& extents, std::int64_t seed) {
  return {extents, dense_values(extents, seed, 1, smooth)};
}

std::vector<std::size_t> block_positions(Extents const& extents, Extents const& begins, Extents const& block) {
  Extents const strides = packed_strides(extents);
  std::vector<std::size_t> positions(static_cast<std::size_t>(product(block)));
  for (std::size_t local = 0; local < positions.size(); ++local) {
    auto rest = static_cast<std::int64_t>(local);
    std::int64_t position = 0;
    for (int d = extents.size() - 1; d >= 0; --d) {
      position += (begins[d] + rest % block[d]) * strides[d];
      rest /= block[d];
    }
    positions[local] = static_cast<std::size_t>(position);
  }
  return positions;
}

Values elements_at(Values const& elements, std::vector<std::size_t> const& positions) {
  Values result;
  for (std::size_t position : positions) result.push_back(elements.at(position));
  return result;
}

void add_elements(Values& elements, std::vector<std::size_t> const& positions, Values const& added) {
  for (std::size_t i = 0; i < added.size(); ++i) elements.at(positions.at(i)) += added[i];
}

bool is_close(double found, double expected, double tolerance) {
  if (!std::isfinite(expected)) return found == expected || (std::isnan(found) && std::isnan(expected));
  return std::abs(found - expected) <= tolerance * (1 + std::abs(expected));
}

std::string difference(Values const& found, Values const& expected, double tolerance) {
  std::ostringstream text;
  if (found.size() != expected.size()) text << found.size() << " elements instead of " << expected.size();
  else
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (is_close(found[i], expected[i], tolerance)) continue;
      text << "element " << i << " is " << found[i] << " instead of " << expected[i];
      break;
    }
  return text.str();
}

double weighted_sum(Values const& values) {
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i) sum += values[i] * smooth(99, static_cast<std::int64_t>(i));
  return sum;
}

Values central_differences(std::function<double()> const& loss, Values& input, double step) {
  Values result(input.size(), 0);
  for (auto i = static_cast<std::size_t>(rank()); i < input.size(); i += static_cast<std::size_t>(ranks())) {
    double const kept = input[i];
    input[i] = kept + step;
    double const above = loss();
    input[i] = kept - step;
    double const below = loss();
    input[i] = kept;
    result[i] = (above - below) / (2 * step);
  }
  MPI_Allreduce(MPI_IN_PLACE, result.data(), static_cast<int>(result.size()), MPI_DOUBLE, MPI_SUM,
                runtime().communicator());
  return result;
}

Dense dense_einsum(std::string_view subscripts, std::vector<Dense> const& operands) {
  std::vector<std::string> labels(1);
  std::size_t const arrow = subscripts.find("->");
  for (char character : subscripts.substr(0, arrow)) {
    if (character == ',') labels.emplace_back();
    else labels.back() += character;
  }
  labels.emplace_back(subscripts.substr(arrow + 2));
  std::map<char, std::int64_t> sizes;
  std::vector<Lettered<double const>> factors;
  for (std::size_t operand = 0; operand < operands.size(); ++operand) {
    factors.push_back({labels[operand], operands[operand].values.data()});
    for (std::size_t d = 0; d < labels[operand].size(); ++d)
      sizes[labels[operand][d]] = operands[operand].extents[static_cast<int>(d)];
  }
  Dense result;
  for (char letter : labels.back()) result.extents.push_back(sizes.at(letter));
  result.values.assign(static_cast<std::size_t>(product(result.extents)), 0);
  add_products(sizes, factors, {labels.back(), result.values.data()});
  return result;
}

}  // namespace gshard::test
