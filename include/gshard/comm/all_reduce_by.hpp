// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include <gshard/comm/message.hpp>

namespace gshard::comm {

namespace detail {

/// Combines `*count` elements of `from` into `into` by `Rule`. A user function of MPI_Op_create.
template <class Rule, class T>
void combine_elements(void* from, void* into, int* count, MPI_Datatype*) {
  T const* const values = static_cast<T const*>(from);
  T* const results = static_cast<T*>(into);
  for (int i = 0; i < *count; ++i) Rule::combine(results[i], values[i]);
}

/// MPI datatype of sizeof(T) bytes, freed with the object.
template <class T>
struct MpiElement {
  MPI_Datatype handle = MPI_DATATYPE_NULL;

  MpiElement() {
    require_mpi(MPI_Type_contiguous(static_cast<int>(sizeof(T)), MPI_BYTE, &handle), "MPI_Type_contiguous");
    require_mpi(MPI_Type_commit(&handle), "MPI_Type_commit");
  }
  MpiElement(MpiElement const&) = delete;
  MpiElement& operator=(MpiElement const&) = delete;
  ~MpiElement() { gshard::detail::report_mpi(MPI_Type_free(&handle), "MPI_Type_free"); }
};

/// MPI operation of `Rule` on elements of type T, declared commutative, freed with the object.
template <class Rule, class T>
struct MpiRule {
  MPI_Op handle = MPI_OP_NULL;

  MpiRule() { require_mpi(MPI_Op_create(combine_elements<Rule, T>, 1, &handle), "MPI_Op_create"); }
  MpiRule(MpiRule const&) = delete;
  MpiRule& operator=(MpiRule const&) = delete;
  ~MpiRule() { gshard::detail::report_mpi(MPI_Op_free(&handle), "MPI_Op_free"); }
};

}  // namespace detail

/// Reduces `count` elements over the ranks of `group`, in place, by `Rule::combine(into, value)`.
/// For trivially copyable types that MPI has no operation for, such as pairs of a value and an index.
/// Preconditions: `Rule` is associative and commutative; `count` is the same on every rank; `data` lies in host memory,
/// because MPI calls the rule on the host.
/// Communication: all-reduce over `group`; bytes sent per rank, as in a ring: 2 (p - 1) / p * count * sizeof(T).
/// Throws CommunicationError if `count` is negative, MPI fails, or checked ranks disagree.
template <class Rule, class T>
void all_reduce_by(Group const& group, T* data, std::int64_t count, std::int64_t limit = largest_count,
                   std::source_location site = std::source_location::current()) {
  static_assert(std::is_trivially_copyable_v<T>);
  detail::check_count("all_reduce_by", group, count);
  if (group.size == 1) return;
  if (detail::is_checked(group))
    detail::check_same(group, detail::concat("all_reduce_by of ", detail::name_of_type<T>()), {count}, site);
  Kokkos::Profiling::ScopedRegion const region("gshard::all_reduce_by");
  if (count == 0) return;
  if (detail::only_counted(group, Collective::all_reduce, 2 * (group.size - 1),
                           detail::ring_bytes<T>(group, gshard::detail::saturated_product(2, count))))
    return;
  detail::MpiElement<T> const type;
  detail::MpiRule<Rule, T> const operation;
  detail::in_pieces(count, detail::elements_in_call<T>(limit), [&](std::int64_t offset, int piece) {
    detail::require_mpi(
        MPI_Allreduce(MPI_IN_PLACE, data + offset, piece, type.handle, operation.handle, group.communicator()),
        "MPI_Allreduce");
  });
}

}  // namespace gshard::comm
