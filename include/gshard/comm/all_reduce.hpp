// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <Kokkos_Core.hpp>

#include <gshard/comm/message.hpp>
#include <gshard/core/compiled.hpp>
#include <gshard/core/launch.hpp>

namespace gshard::comm {

namespace detail {

/// Maps floating-point numbers to integers of the same order, or back, in place. The integer of a number is its bit
/// pattern; for negative numbers the bits below the sign are inverted. The integer of NaN is `of_nan`.
/// MPI_MAX and MPI_MIN of NaN are unspecified and depend on the order of the ranks; on these integers they do not.
template <class T>
struct OrderedBits {
  using Bits = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;
  static_assert(sizeof(Bits) == sizeof(T));

  T* data;
  Bits of_nan;       ///< integer that stands for NaN
  bool are_ordered;  ///< direction: false maps numbers to integers, true maps integers to numbers

  KOKKOS_FUNCTION void operator()(std::int64_t i) const {
    Bits const bits = __builtin_bit_cast(Bits, data[i]);
    Bits const turned = bits < 0 ? bits ^ Kokkos::Experimental::finite_max_v<Bits> : bits;
    if (are_ordered) data[i] = bits == of_nan ? Kokkos::Experimental::quiet_NaN_v<T> : __builtin_bit_cast(T, turned);
    else data[i] = __builtin_bit_cast(T, data[i] != data[i] ? of_nan : turned);
  }
};

/// Runs OrderedBits on `count` elements and fences. NaN becomes the largest integer for a maximum, the smallest for a
/// minimum, so that it wins.
template <class MemorySpace, class T>
void exchange_order(T* data, std::int64_t count, Reduction reduction, bool are_ordered) {
  using Bits = typename OrderedBits<T>::Bits;
  Bits const of_nan = reduction == Reduction::maximum ? Kokkos::Experimental::finite_max_v<Bits>
                                                      : Kokkos::Experimental::finite_min_v<Bits>;
  gshard::detail::launch<MemorySpace>("gshard::all_reduce", count, count <= gshard::detail::small_row,
                                      OrderedBits<T>{data, of_nan, are_ordered});
  gshard::detail::fence<MemorySpace>("gshard::all_reduce: what is sent is computed");
}

}  // namespace detail

/// Reduces `count` elements over the ranks of `group`, in place. Every rank gets the same result, bit for bit.
/// A maximum or minimum of floating-point numbers is NaN if one of them is NaN.
/// Preconditions: `count` and `reduction` are the same on every rank; `data` lies in `MemorySpace` and is complete
/// (fenced); device memory requires an MPI library that accepts device pointers.
/// Communication: all-reduce over `group`; bytes sent per rank, as in a ring: 2 (p - 1) / p * count * sizeof(T).
/// Throws CommunicationError if `count` is negative, MPI fails, or checked ranks disagree.
template <class MemorySpace = Kokkos::HostSpace, class T>
void all_reduce(Group const& group, T* data, std::int64_t count, Reduction reduction = Reduction::sum,
                std::int64_t limit = largest_count, std::source_location site = std::source_location::current()) {
  static_assert(detail::can_be_reduced<T>, "gshard: MPI cannot reduce this element type; reshard reduces it, in float");
  detail::check_count("all_reduce", group, count);
  if (group.size == 1) return;
  if (detail::is_checked(group))
    detail::check_same(group, detail::concat("all_reduce (", text_of(reduction), ") of ", detail::name_of_type<T>()),
                       {count}, site);
  Kokkos::Profiling::ScopedRegion const region("gshard::all_reduce");
  if (count == 0) return;
  if (detail::only_counted(group, Collective::all_reduce, 2 * (group.size - 1),
                           detail::ring_bytes<T>(group, gshard::detail::saturated_product(2, count))))
    return;
  MPI_Datatype type = detail::type_of<T>();
  bool const is_ordered =
      std::is_floating_point_v<T> && (reduction == Reduction::maximum || reduction == Reduction::minimum);
  if constexpr (std::is_floating_point_v<T>)
    if (is_ordered) {
      type = detail::type_of<typename detail::OrderedBits<T>::Bits>();
      detail::exchange_order<MemorySpace>(data, count, reduction, false);
    }
  detail::in_pieces(count, detail::elements_in_call<T>(limit), [&](std::int64_t offset, int piece) {
    detail::require_mpi(
        MPI_Allreduce(MPI_IN_PLACE, data + offset, piece, type, detail::operation_of(reduction), group.communicator()),
        "MPI_Allreduce");
  });
  if constexpr (std::is_floating_point_v<T>)
    if (is_ordered) detail::exchange_order<MemorySpace>(data, count, reduction, true);
}
GSHARD_COMPILED_WIDE(all_reduce)

}  // namespace gshard::comm
