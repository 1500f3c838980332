// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include <gshard/comm/message.hpp>

namespace gshard::comm {

namespace detail {

/// What MPI calls to combine elements of a type that it takes for bytes.
template <class Rule, class T>
void combine_elements(void* from, void* into, int* count, MPI_Datatype*) {
  T const* const values = static_cast<T const*>(from);
  T* const results = static_cast<T*>(into);
  for (int i = 0; i < *count; ++i) Rule::combine(results[i], values[i]);
}

}  // namespace detail

/// As all_reduce, for elements that MPI knows nothing of, such as pairs of a value and an index, by
/// `Rule::combine(into, value)`, which is associative and commutative. `data` lies in host memory, where MPI calls the
/// rule.
template <class Rule, class T>
void all_reduce_by(Group const& group, T* data, std::int64_t count, std::int64_t limit = largest_count) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (group.size == 1) return;
  detail::check_same("all_reduce_by", group, {count});
  Kokkos::Profiling::ScopedRegion const region("gshard::all_reduce_by");
  if (count == 0) return;
  if (detail::only_counted(group, Collective::all_reduce, 2 * (group.size - 1),
                           detail::ring_bytes<T>(group, 2 * count)))
    return;
  MPI_Datatype type;
  MPI_Type_contiguous(static_cast<int>(sizeof(T)), MPI_BYTE, &type);
  MPI_Type_commit(&type);
  MPI_Op operation;
  MPI_Op_create(detail::combine_elements<Rule, T>, 1, &operation);
  detail::in_pieces(count, limit, [&](std::int64_t offset, int piece) {
    MPI_Allreduce(MPI_IN_PLACE, data + offset, piece, type, operation, group.communicator);
  });
  MPI_Op_free(&operation);
  MPI_Type_free(&type);
}

}  // namespace gshard::comm
