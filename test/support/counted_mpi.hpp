// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// What this process has really asked of MPI, seen through its profiling interface. A test that uses this links
/// counted_mpi.cpp.
namespace gshard::test {

struct MpiCalls {
  std::int64_t calls = 0;
  std::int64_t bytes = 0;
};

/// Bytes: of an all-to-all, what goes to other ranks; of a send, the message; of the others, what each rank of a ring
/// sends of the buffer that is reduced, gathered or scattered.
struct CountedMpi {
  MpiCalls all_to_all;
  MpiCalls all_gather;
  MpiCalls all_reduce;
  MpiCalls reduce_scatter;
  MpiCalls send;
};

/// The counts since the start, to be set to {} before what is to be counted.
CountedMpi& counted_mpi();

}  // namespace gshard::test
