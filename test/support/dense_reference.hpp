// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <sstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <mpi.h>

#include <gshard/tensor/fill.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

#include "mpi_test.hpp"
#include "product_loops.hpp"

/// Tensors as plain vectors in row-major order, the same on every rank, and how a sharded tensor compares with them.
/// Nothing here uses the library's own communication.
namespace gshard::test {

// ---- Meshes

using TwoAxes = Mesh<Axis<"x">, Axis<"y">>;

/// The two-axis shapes of this run: the squarest one, and it turned over.
inline std::vector<std::array<int, 2>> two_axis_shapes() {
  int rows = static_cast<int>(std::sqrt(static_cast<double>(ranks())));
  while (ranks() % rows != 0) --rows;
  int const columns = ranks() / rows;
  if (rows == columns) return {{rows, columns}};
  return {{rows, columns}, {columns, rows}};
}

/// Calls `action(mesh)` with each of them.
template <class Action>
void on_every_mesh(Action const& action) {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    INFO("mesh (", mesh.text(), ")");
    action(mesh);
  }
}

/// Runs `body(Runtime&)` on the first `count` ranks of this run as if they were the whole job; the others leave it
/// alone.
template <class Body>
void on_ranks(int count, Body const& body) {
  MPI_Comm some = MPI_COMM_NULL;
  MPI_Comm_split(runtime().communicator(), rank() < count ? 0 : MPI_UNDEFINED, rank(), &some);
  if (some == MPI_COMM_NULL) return;
  {
    Runtime part(some);
    body(part);
  }
  MPI_Comm_free(&some);
}

// ---- Values

/// Element `position` of the tensor number `seed`: a small integer, so that sums of products are exact in every element
/// type.
constexpr double small_integer(std::int64_t seed, std::int64_t position) {
  return static_cast<double>((position * 7 + seed * 13 + position / 5) % 9 - 4);
}

/// Something smooth between -1 and 1 for the rest.
inline double smooth(std::int64_t seed, std::int64_t position) {
  return std::sin(0.7 * static_cast<double>(position) + 1.3 * static_cast<double>(seed) + 0.1);
}

using ValueOfPosition = double (*)(std::int64_t seed, std::int64_t position);

template <int Rank>
struct ValueOfIndex {
  ValueOfPosition value;
  std::int64_t seed;
  Extents strides;

  double operator()(GlobalIndex<Rank> const& index) const {
    std::int64_t position = 0;
    for (int d = 0; d < Rank; ++d) position += index[static_cast<std::size_t>(d)] * strides[d];
    return value(seed, position);
  }
};

/// How many ranks hold a part each of what the tensor is the sum of.
template <class Tensor>
int parts_of(Tensor const& tensor) {
  return tensor.mesh_state().size(Tensor::layout.partial);
}

/// Fills the tensor from the global index. Where it is an unreduced sum, its part number k is filled with the seed
/// `seed + k`.
template <class Tensor>
void fill_by_position(Tensor const& tensor, std::int64_t seed, ValueOfPosition value = small_integer) {
  int const part = tensor.mesh_state().group(Tensor::layout.partial).rank;
  fill(tensor, ValueOfIndex<Tensor::rank>{value, seed + part, packed_strides(tensor.extents())});
}

template <class Tensor>
Tensor filled(typename Tensor::mesh_type const& mesh, Extents const& extents, std::int64_t seed,
              ValueOfPosition value = small_integer) {
  Tensor tensor(mesh, extents);
  fill_by_position(tensor, seed, value);
  return tensor;
}

/// The elements of a tensor that `fill_by_position` filled.
inline std::vector<double> dense_values(Extents const& extents, std::int64_t seed, int parts = 1,
                                        ValueOfPosition value = small_integer) {
  std::vector<double> result(static_cast<std::size_t>(product(extents)));
  for (int part = 0; part < parts; ++part)
    for (std::size_t i = 0; i < result.size(); ++i) result[i] += value(seed + part, static_cast<std::int64_t>(i));
  return result;
}

template <class Tensor>
std::vector<double> dense_values_of(Tensor const& filled, std::int64_t seed, ValueOfPosition value = small_integer) {
  return dense_values(filled.extents(), seed, parts_of(filled), value);
}

// ---- Positions

/// The global row-major positions of this rank's elements, in their local order.
template <class Tensor>
std::vector<std::size_t> global_positions(Tensor const& tensor) {
  Extents const strides = packed_strides(tensor.extents());
  std::vector<std::size_t> positions(static_cast<std::size_t>(tensor.local_size()));
  for (std::size_t local = 0; local < positions.size(); ++local) {
    std::int64_t rest = static_cast<std::int64_t>(local);
    std::int64_t position = 0;
    for (int d = Tensor::rank - 1; d >= 0; --d) {
      position += (tensor.range(d).begin + rest % tensor.local_extent(d)) * strides[d];
      rest /= tensor.local_extent(d);
    }
    positions[local] = static_cast<std::size_t>(position);
  }
  return positions;
}

/// This rank's elements in their local order.
template <class Tensor>
std::vector<double> local_values(Tensor const& tensor) {
  auto const count = static_cast<std::size_t>(tensor.local_size());
  return std::vector<double>(tensor.data(), tensor.data() + count);
}

template <class Mesh>
MPI_Comm all_ranks_of(Mesh const& mesh) {
  return mesh.state().group(AxisSet{(1U << Mesh::axis_count) - 1}).communicator();
}

/// The tensor put together from the ranks' blocks by one MPI call: replicas count once, parts of sums add up.
template <class Tensor>
std::vector<double> collected(Tensor const& tensor) {
  AxisSet const distributed = Tensor::layout.split() | Tensor::layout.partial;
  std::vector<double> elements(static_cast<std::size_t>(tensor.size()));
  bool is_first_replica = true;
  for (int axis = 0; axis < Tensor::mesh_type::axis_count; ++axis)
    is_first_replica = is_first_replica && (distributed.contains(axis) || tensor.mesh().coordinate(axis) == 0);
  if (is_first_replica) {
    std::vector<double> const own = local_values(tensor);
    std::vector<std::size_t> const positions = global_positions(tensor);
    for (std::size_t i = 0; i < own.size(); ++i) elements[positions[i]] += own[i];
  }
  MPI_Allreduce(MPI_IN_PLACE, elements.data(), static_cast<int>(elements.size()), MPI_DOUBLE, MPI_SUM,
                all_ranks_of(tensor.mesh()));
  return elements;
}

// ---- Comparisons

/// Whether two numbers are close, relatively to `1 + |expected|`; infinity is close to itself alone, and so is NaN.
inline bool is_close(double found, double expected, double tolerance) {
  if (!std::isfinite(expected)) return found == expected || (std::isnan(found) && std::isnan(expected));
  return std::abs(found - expected) <= tolerance * (1 + std::abs(expected));
}

/// Says where two lists of numbers differ first, or "".
inline std::string difference(std::vector<double> const& found, std::vector<double> const& expected,
                              double tolerance = 0) {
  std::ostringstream text;
  if (found.size() != expected.size()) text << found.size() << " elements instead of " << expected.size();
  for (std::size_t i = 0; i < found.size() && text.tellp() == 0; ++i)
    if (!is_close(found[i], expected[i], tolerance))
      text << "element " << i << " is " << found[i] << " instead of " << expected[i];
  return text.str();
}

/// Says how a tensor differs from these elements: as a whole, or, where it is no unreduced sum, in this rank's block,
/// replicas included.
template <class Tensor>
std::string difference(Tensor const& tensor, std::vector<double> const& expected, double tolerance = 0) {
  if (std::string const whole = difference(collected(tensor), expected, tolerance); !whole.empty())
    return "whole: " + whole;
  if (!Tensor::layout.partial.empty()) return "";
  std::vector<double> own;
  for (std::size_t position : global_positions(tensor)) own.push_back(expected[position]);
  std::string const block = difference(local_values(tensor), own, tolerance);
  return block.empty() ? "" : "block: " + block;
}

// ---- Einsums

/// A tensor as its extents and elements.
struct Dense {
  Extents extents;
  std::vector<double> values;
};

/// The sum of products that `subscripts` spells, by loops over all letters.
inline Dense dense_einsum(std::string_view subscripts, std::vector<Dense> const& operands) {
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
