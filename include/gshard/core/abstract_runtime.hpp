// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include <mpi.h>

#include <gshard/core/error.hpp>
#include <gshard/core/memory_pool.hpp>

namespace gshard {

/// A Runtime without ranks: meshes made from it have any size, and programs on them run with tensors in AbstractSpace,
/// as one of the ranks would, in microseconds an operation whatever the sizes. The ledger tells what they would have
/// asked of that rank. Needs neither MPI nor Kokkos to be up.
///
///     AbstractRuntime runtime;
///     Grid grid(runtime, {2, 1024});
///     ShardedTensor<Grid, Spec<"data", "expert">, float, AbstractSpace> x(grid, {1 << 20, 1 << 20});
///     auto y = replicate(x);
///     std::cout << runtime.ledger();
class AbstractRuntime {
 public:
  /// Sees the program as rank `rank` does: the first one has the largest blocks.
  explicit AbstractRuntime(int rank = 0) : rank_(rank) {
    if (rank < 0) throw MeshError(detail::concat("abstract runtime: rank ", rank, " is negative"));
    ledger().open();
  }

  AbstractRuntime(AbstractRuntime const&) = delete;
  AbstractRuntime& operator=(AbstractRuntime const&) = delete;

  int rank() const { return rank_; }
  /// Whether to print.
  bool is_root() const { return true; }
  MPI_Comm communicator() const { return MPI_COMM_NULL; }
  std::shared_ptr<MemoryPool> const& memory() const { return memory_; }
  Ledger& ledger() const { return memory_->ledger(); }

 private:
  int rank_;
  std::shared_ptr<MemoryPool> memory_ = std::make_shared<MemoryPool>(MemoryPool::Kind::addresses);
};

}  // namespace gshard
