// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <climits>
#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <mpi.h>
#include <Kokkos_Core.hpp>
#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <gshard/comm/check.hpp>
#include <gshard/core/bfloat16.hpp>
#include <gshard/core/checked.hpp>
#include <gshard/core/error.hpp>
#include <gshard/core/mpi.hpp>
#include <gshard/mesh/mesh.hpp>

// Parameters that the collectives share:
//   limit  the most elements of one MPI call; a longer message is cut into several calls; tests pass a small limit
//   site   the call site that an error of Runtime::check_communication names

namespace gshard::comm {

/// The most elements of one MPI call: the default of `limit`.
inline constexpr std::int64_t largest_count = INT_MAX;
/// The most bytes of one MPI call, whatever `limit` is. Some MPI libraries count the bytes of a message by int.
inline constexpr std::int64_t largest_bytes = INT_MAX;

/// Operation by which a reduction combines elements.
/// sum: MPI_SUM
/// product: MPI_PROD
/// maximum: MPI_MAX
/// minimum: MPI_MIN
enum class Reduction { sum, product, maximum, minimum };

/// Returns the name of the enumerator.
constexpr std::string_view text_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::product: return "product";
    case Reduction::maximum: return "maximum";
    case Reduction::minimum: return "minimum";
    default: return "sum";
  }
}

namespace detail {

/// Returns the MPI datatype of T. BFloat16 is MPI_UINT16_T: MPI moves its bits, and `can_be_reduced` excludes it from
/// reductions.
template <class T>
MPI_Datatype type_of() {
  if constexpr (std::is_same_v<T, float>) return MPI_FLOAT;
  else if constexpr (std::is_same_v<T, double>) return MPI_DOUBLE;
  else if constexpr (std::is_same_v<T, std::int32_t>) return MPI_INT32_T;
  else if constexpr (std::is_same_v<T, std::int64_t>) return MPI_INT64_T;
  else if constexpr (std::is_same_v<T, std::uint32_t>) return MPI_UINT32_T;
  else if constexpr (std::is_same_v<T, std::uint64_t>) return MPI_UINT64_T;
  else if constexpr (std::is_same_v<T, std::int8_t>) return MPI_INT8_T;
  else if constexpr (std::is_same_v<T, std::uint8_t>) return MPI_UINT8_T;
  else if constexpr (std::is_same_v<T, BFloat16>) return MPI_UINT16_T;
  else
    static_assert(sizeof(T) == 0,
                  "gshard: MPI has no datatype for this element type; use float, double, BFloat16 or an integer type");
}

/// Returns the name of element type T for error messages, as "BFloat16" or "int32".
template <class T>
std::string name_of_type() {
  if constexpr (std::is_same_v<T, BFloat16>) return "BFloat16";
  else if constexpr (std::is_same_v<T, float>) return "float";
  else if constexpr (std::is_same_v<T, double>) return "double";
  else if constexpr (std::is_integral_v<T>) return concat(std::is_signed_v<T> ? "int" : "uint", 8 * sizeof(T));
  else return concat("elements of ", sizeof(T), " bytes");
}

/// Returns the most elements of type T in one MPI call: `limit`, but at least 1 and at most `largest_bytes` bytes.
template <class T>
constexpr std::int64_t elements_in_call(std::int64_t limit) {
  return std::clamp<std::int64_t>(limit, 1, largest_bytes / static_cast<std::int64_t>(sizeof(T)));
}

/// Whether MPI can reduce elements of type T. It would add the bit patterns of BFloat16 as integers.
template <class T>
inline constexpr bool can_be_reduced = !gshard::detail::is_rounded<T>;

inline MPI_Op operation_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::product: return MPI_PROD;
    case Reduction::maximum: return MPI_MAX;
    case Reduction::minimum: return MPI_MIN;
    default: return MPI_SUM;
  }
}

/// Returns `pointer`, or the address of a static object if it is null.
/// Some MPI libraries refuse null buffers even with a count of 0.
template <class T>
T* valid(T* pointer) {
  static std::remove_const_t<T> nothing{};
  return pointer != nullptr ? pointer : &nothing;
}

/// Counts and their exclusive prefix sums as int, for MPI's collectives of varying counts.
/// Precondition: the sum of the counts fits in int.
struct Counts {
  std::vector<int> counts;
  std::vector<int> offsets;

  explicit Counts(std::vector<std::int64_t> const& wide) {
    std::int64_t sum = 0;
    for (std::int64_t count : wide) {
      counts.push_back(static_cast<int>(count));
      offsets.push_back(static_cast<int>(sum));
      sum += count;
    }
  }
};

/// Returns the sum of `counts`. Throws CommunicationError if the sum exceeds 64 bits.
inline std::int64_t total(std::vector<std::int64_t> const& counts) {
  std::int64_t sum = 0;
  for (std::int64_t count : counts)
    sum = gshard::detail::checked_sum<CommunicationError>(sum, count, "elements of a message");
  return sum;
}

/// Throws CommunicationError if `count` is negative.
inline void check_count(std::string_view operation, Group const& group, std::int64_t count) {
  if (count < 0)
    throw CommunicationError(
        concat(operation, ": count ", count, " is negative (rank ", group.rank, " of a group of ", group.size, ")"));
}

/// Throws CommunicationError unless `counts` has one entry, 0 or more, for each rank of the group.
inline void check_counts(std::string_view operation, Group const& group, std::vector<std::int64_t> const& counts) {
  if (std::ssize(counts) != group.size)
    throw CommunicationError(concat(operation, ": got ", counts.size(), " counts for a group of ", group.size,
                                    " ranks (rank ", group.rank, " of the group)"));
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (counts[i] < 0)
      throw CommunicationError(concat(operation, ": count ", counts[i], " for rank ", i, " of the group is negative"));
}

/// Calls `start(offset, length)` for pieces of at most `limit` elements, in ascending order. MPI keeps the order of
/// messages between two ranks, so the pieces of sender and receiver match if both use the same limit.
template <class Start>
void in_pieces(std::int64_t count, std::int64_t limit, Start const& start) {
  for (std::int64_t done = 0; done < count; done += limit) start(done, static_cast<int>(std::min(limit, count - done)));
}

/// Adds a collective to the ledger: the messages and bytes that this rank sends. Leaves out groups of one rank.
/// Returns whether the group is abstract; if it is, the caller sends nothing.
inline bool only_counted(Group const& group, Collective collective, std::int64_t messages, std::int64_t bytes) {
  if (group.ledger != nullptr && group.size > 1)
    group.ledger->add_traffic(collective, group.axes, group.size, messages, bytes);
  return group.is_abstract();
}

/// Returns the bytes of `elements` elements, at most 2^63 - 1. For the ledger.
template <class T>
constexpr std::int64_t bytes_of(std::int64_t elements) {
  return gshard::detail::saturated_product(elements, std::int64_t{sizeof(T)});
}

/// Returns floor(bytes * (ranks - 1) / ranks), the bytes that each of the ranks in a ring sends of a buffer.
constexpr std::int64_t ring_bytes(std::int64_t bytes, std::int64_t ranks) {
  // The product bytes * (ranks - 1) can overflow.
  return bytes - bytes / ranks - (bytes % ranks == 0 ? 0 : 1);
}
template <class T>
std::int64_t ring_bytes(Group const& group, std::int64_t elements) {
  return ring_bytes(bytes_of<T>(elements), group.size);
}

/// Returns `group` without its ledger. The ledger counts a collective once, and not the messages inside it.
inline Group uncounted(Group group) {
  group.ledger = nullptr;
  return group;
}

/// Tag of all messages of collectives. Each group has its own communicator, so one tag is enough.
inline constexpr int message_tag = 1;

}  // namespace detail
}  // namespace gshard::comm
