// SPDX-License-Identifier: Apache-2.0
#include "counted_mpi.hpp"

#include <mpi.h>

namespace {

std::int64_t size_of(MPI_Datatype type) {
  int size = 0;
  PMPI_Type_size(type, &size);
  return size;
}

std::int64_t total_of(int const* counts, MPI_Comm communicator, bool with_own) {
  int ranks = 0;
  int own = 0;
  PMPI_Comm_size(communicator, &ranks);
  PMPI_Comm_rank(communicator, &own);
  std::int64_t sum = 0;
  for (int rank = 0; rank < ranks; ++rank)
    if (with_own || rank != own) sum += counts[rank];
  return sum;
}

void count(gshard::test::MpiCalls& calls, std::int64_t bytes) {
  calls.calls += 1;
  calls.bytes += bytes;
}

/// As many bytes as each rank of a ring sends of a whole buffer.
std::int64_t ring_share(std::int64_t whole, MPI_Comm communicator) {
  int ranks = 0;
  PMPI_Comm_size(communicator, &ranks);
  return whole * (ranks - 1) / ranks;
}

}  // namespace

namespace gshard::test {

CountedMpi& counted_mpi() {
  static CountedMpi counts;
  return counts;
}

}  // namespace gshard::test

using gshard::test::counted_mpi;

// The names and parameters are MPI's own.
extern "C" {

int MPI_Alltoallv(void const* send, int const* send_counts, int const* send_offsets, MPI_Datatype send_type,
                  void* receive, int const* receive_counts, int const* receive_offsets, MPI_Datatype receive_type,
                  MPI_Comm communicator) {
  count(counted_mpi().all_to_all, total_of(send_counts, communicator, false) * size_of(send_type));
  return PMPI_Alltoallv(send, send_counts, send_offsets, send_type, receive, receive_counts, receive_offsets,
                        receive_type, communicator);
}

int MPI_Allgatherv(void const* send, int send_count, MPI_Datatype send_type, void* receive, int const* receive_counts,
                   int const* receive_offsets, MPI_Datatype receive_type, MPI_Comm communicator) {
  count(counted_mpi().all_gather,
        ring_share(total_of(receive_counts, communicator, true) * size_of(receive_type), communicator));
  return PMPI_Allgatherv(send, send_count, send_type, receive, receive_counts, receive_offsets, receive_type,
                         communicator);
}

int MPI_Allreduce(void const* send, void* receive, int elements, MPI_Datatype type, MPI_Op operation,
                  MPI_Comm communicator) {
  count(counted_mpi().all_reduce, ring_share(2 * elements * size_of(type), communicator));
  return PMPI_Allreduce(send, receive, elements, type, operation, communicator);
}

int MPI_Reduce_scatter(void const* send, void* receive, int const* receive_counts, MPI_Datatype type, MPI_Op operation,
                       MPI_Comm communicator) {
  count(counted_mpi().reduce_scatter,
        ring_share(total_of(receive_counts, communicator, true) * size_of(type), communicator));
  return PMPI_Reduce_scatter(send, receive, receive_counts, type, operation, communicator);
}

int MPI_Isend(void const* send, int elements, MPI_Datatype type, int destination, int tag, MPI_Comm communicator,
              MPI_Request* request) {
  count(counted_mpi().send, elements * size_of(type));
  return PMPI_Isend(send, elements, type, destination, tag, communicator, request);
}

}  // extern "C"
