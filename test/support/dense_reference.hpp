// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <mpi.h>

#include <gshard/tensor/fill.hpp>
#include <gshard/tensor/sharded_tensor.hpp>

#include "dense.hpp"
#include "mpi_test.hpp"

/// How a sharded tensor is filled from plain vectors in row-major order, the same on every rank, and compared with
/// them. Nothing here uses the library's own communication.
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

template <class Tensor>
std::vector<double> dense_values_of(Tensor const& filled, std::int64_t seed, ValueOfPosition value = small_integer) {
  return dense_values(filled.extents(), seed, parts_of(filled), value);
}

// ---- Positions

/// The global row-major positions of this rank's elements, in their local order.
template <class Tensor>
std::vector<std::size_t> global_positions(Tensor const& tensor) {
  Extents begins, block;
  for (int d = 0; d < Tensor::rank; ++d) {
    begins.push_back(tensor.range(d).begin);
    block.push_back(tensor.local_extent(d));
  }
  return block_positions(tensor.extents(), begins, block);
}

/// Whether two tensors are handles of the same elements of this rank's block.
template <AnyTensor First, AnyTensor Second>
bool shares_elements(First const& first, Second const& second) {
  return first.data() == second.data();
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
    add_elements(elements, global_positions(tensor), local_values(tensor));
  }
  MPI_Allreduce(MPI_IN_PLACE, elements.data(), static_cast<int>(elements.size()), MPI_DOUBLE, MPI_SUM,
                all_ranks_of(tensor.mesh()));
  return elements;
}

// ---- Comparisons

/// Says how a tensor differs from these elements: as a whole, or, where it is no unreduced sum, in this rank's block,
/// replicas included.
template <class Tensor>
std::string difference(Tensor const& tensor, std::vector<double> const& expected, double tolerance = 0) {
  if (std::string const whole = difference(collected(tensor), expected, tolerance); !whole.empty())
    return "whole: " + whole;
  if (!Tensor::layout.partial.empty()) return "";
  std::string const block =
      difference(local_values(tensor), elements_at(expected, global_positions(tensor)), tolerance);
  return block.empty() ? "" : "block: " + block;
}

}  // namespace gshard::test
