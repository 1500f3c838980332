// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include <mpi.h>

#include <gshard/core/error.hpp>
#include <gshard/core/memory_pool.hpp>

namespace gshard {

/// Runtime without ranks or devices, for costing a program on a mesh of any size in one process.
/// Meshes made from it are abstract, and tensors on them are in AbstractSpace: a program follows the path of one rank,
/// with nothing allocated, computed or sent. The ledger counts the work, messages and memory of that rank.
/// Does not need MPI or Kokkos to be initialized.
///
///     AbstractRuntime runtime;
///     Grid grid(runtime, {2, 1024});
///     ShardedTensor<Grid, Spec<"data", "expert">, float, AbstractSpace> x(grid, {1 << 20, 1 << 20});
///     auto y = replicate(x);
///     std::cout << runtime.ledger();
class AbstractRuntime {
 public:
  /// Constructs a runtime that follows the path of `rank`, and opens its ledger. Rank 0 has the largest blocks.
  /// Throws MeshError if `rank` is negative.
  explicit AbstractRuntime(int rank = 0) : rank_(rank) {
    if (rank < 0) throw MeshError(detail::concat("abstract runtime: rank ", rank, " is negative"));
    ledger().open();
  }

  AbstractRuntime(AbstractRuntime const&) = delete;
  AbstractRuntime& operator=(AbstractRuntime const&) = delete;

  /// Returns the rank whose path the program follows.
  int rank() const { return rank_; }
  /// Returns true, whatever the rank: the only process prints.
  bool is_root() const { return true; }
  /// Returns MPI_COMM_NULL.
  MPI_Comm communicator() const { return MPI_COMM_NULL; }
  /// Returns the pool that gives tensors their addresses.
  std::shared_ptr<MemoryPool> const& memory() const { return memory_; }
  /// Returns the ledger of `rank()`.
  Ledger& ledger() const { return memory_->ledger(); }

 private:
  int rank_;
  std::shared_ptr<MemoryPool> memory_ = std::make_shared<MemoryPool>(MemoryPool::Kind::addresses);
};

}  // namespace gshard
