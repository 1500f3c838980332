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

namespace gshard::comm {

/// The most elements that one MPI call is given, and the most bytes, in which some MPI libraries count by int; longer
/// messages go in several. Calls take another limit of elements for tests.
inline constexpr std::int64_t largest_count = INT_MAX;
inline constexpr std::int64_t largest_bytes = INT_MAX;

/// How reductions combine elements.
enum class Reduction { sum, maximum, minimum };

constexpr std::string_view text_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::maximum: return "maximum";
    case Reduction::minimum: return "minimum";
    default: return "sum";
  }
}

namespace detail {

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

/// The name of an element type in messages.
template <class T>
std::string name_of_type() {
  if constexpr (std::is_same_v<T, BFloat16>) return "BFloat16";
  else if constexpr (std::is_same_v<T, float>) return "float";
  else if constexpr (std::is_same_v<T, double>) return "double";
  else if constexpr (std::is_integral_v<T>) return concat(std::is_signed_v<T> ? "int" : "uint", 8 * sizeof(T));
  else return concat("elements of ", sizeof(T), " bytes");
}

/// Returns how many elements of type T one MPI call gets: `limit`, but at most `largest_bytes`.
template <class T>
constexpr std::int64_t elements_in_call(std::int64_t limit) {
  return std::clamp<std::int64_t>(limit, 1, largest_bytes / static_cast<std::int64_t>(sizeof(T)));
}

/// MPI adds the bits of what it does not know.
template <class T>
inline constexpr bool can_be_reduced = !gshard::detail::is_rounded<T>;

inline MPI_Op operation_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::maximum: return MPI_MAX;
    case Reduction::minimum: return MPI_MIN;
    default: return MPI_SUM;
  }
}

/// Some MPI libraries refuse null buffers even with a count of 0.
template <class T>
T* valid(T* pointer) {
  static std::remove_const_t<T> nothing{};
  return pointer != nullptr ? pointer : &nothing;
}

/// The counts as MPI wants them, and the sums before each.
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

/// The sum of counts. Throws CommunicationError where it exceeds 64 bits.
inline std::int64_t total(std::vector<std::int64_t> const& counts) {
  std::int64_t sum = 0;
  for (std::int64_t count : counts)
    sum = gshard::detail::checked_sum<CommunicationError>(sum, count, "elements of a message");
  return sum;
}

inline void check_count(std::string_view operation, Group const& group, std::int64_t count) {
  if (count < 0)
    throw CommunicationError(
        concat(operation, ": count ", count, " is negative (rank ", group.rank, " of a group of ", group.size, ")"));
}

inline void check_counts(std::string_view operation, Group const& group, std::vector<std::int64_t> const& counts) {
  if (std::ssize(counts) != group.size)
    throw CommunicationError(concat(operation, ": got ", counts.size(), " counts for a group of ", group.size,
                                    " ranks (rank ", group.rank, " of the group)"));
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (counts[i] < 0)
      throw CommunicationError(concat(operation, ": count ", counts[i], " for rank ", i, " of the group is negative"));
}

/// Starts the messages of one direction between two ranks: as many as the limit demands, in order.
template <class Start>
void in_pieces(std::int64_t count, std::int64_t limit, Start const& start) {
  for (std::int64_t done = 0; done < count; done += limit) start(done, static_cast<int>(std::min(limit, count - done)));
}

/// Enters a collective into the ledger of the group's runtime: messages and bytes that this rank sends. Returns whether
/// that is all, because nobody is there to send to.
inline bool only_counted(Group const& group, Collective collective, std::int64_t messages, std::int64_t bytes) {
  if (group.ledger != nullptr && group.size > 1)
    group.ledger->add_traffic(collective, group.axes, group.size, messages, bytes);
  return group.is_abstract();
}

/// The bytes of some elements, for the ledger.
template <class T>
constexpr std::int64_t bytes_of(std::int64_t elements) {
  return gshard::detail::saturated_product(elements, std::int64_t{sizeof(T)});
}

/// The share of a whole buffer that each rank of a ring sends, in bytes: bytes (p - 1) / p, rounded down.
template <class T>
std::int64_t ring_bytes(Group const& group, std::int64_t elements) {
  std::int64_t const bytes = bytes_of<T>(elements);
  return bytes - bytes / group.size - (bytes % group.size == 0 ? 0 : 1);
}

/// The tag of messages of gshard; each group has communicators of its own, so one is enough.
inline constexpr int message_tag = 1;

}  // namespace detail
}  // namespace gshard::comm
