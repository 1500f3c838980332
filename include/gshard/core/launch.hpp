// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <Kokkos_Core.hpp>

#include <gshard/core/abstract_space.hpp>
#include <gshard/core/error.hpp>
#include <gshard/core/execution.hpp>

// Where kernels start and elements are set, copied and read back: every operation works on a memory space through these
// functions alone. In AbstractSpace nothing runs, and what comes back is 0.

namespace gshard::detail {

/// Whether kernels on this memory run on the host's own execution space, or are prepared as there: the same
/// temporaries, for a ledger to compare.
template <class MemorySpace>
inline constexpr bool runs_on_host =
    is_abstract<MemorySpace> ||
    std::is_same_v<typename MemorySpace::execution_space, Kokkos::DefaultHostExecutionSpace>;

/// How many threads kernels on this memory have.
template <class MemorySpace>
std::int64_t concurrency() {
  if constexpr (is_abstract<MemorySpace>) return 1;
  else return execution_space<MemorySpace>().concurrency();
}

/// The iterations [0, count) on the execution space of `MemorySpace`.
template <class MemorySpace>
auto range_policy(std::int64_t count) {
  using ExecutionSpace = typename MemorySpace::execution_space;
  return Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::int64_t>>(execution_space<MemorySpace>(), 0, count);
}

template <class Functor>
void run_iterations(void const* functor, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i) (*static_cast<Functor const*>(functor))(i);
}

/// A piece of the iterations of any kernel for each thread of the host: Kokkos' loop is compiled once and not for every
/// kernel.
struct HostPieces {
  void const* functor;
  void (*run)(void const*, std::int64_t, std::int64_t);
  std::int64_t count;
  std::int64_t pieces;

  void operator()(std::int64_t piece) const {
    std::int64_t const length = count / pieces;
    std::int64_t const longer = count % pieces;
    std::int64_t const begin = piece * length + std::min(piece, longer);
    run(functor, begin, begin + length + (piece < longer ? 1 : 0));
  }
};

/// Calls `functor(i)` for every i in [0, count), in parallel; on the host a job too small to pay for waking threads
/// stays on this one.
template <class MemorySpace, class Functor>
void launch(char const* label, std::int64_t count, bool tiny, Functor const& functor) {
  if constexpr (!is_abstract<MemorySpace>) {
    if (count <= 0) return;
    if constexpr (runs_on_host<MemorySpace>) {
      if (tiny || count == 1) return run_iterations<Functor>(&functor, 0, count);
      std::int64_t const pieces = std::min(count, concurrency<MemorySpace>());
      Kokkos::parallel_for(label, range_policy<MemorySpace>(pieces),
                           HostPieces{&functor, &run_iterations<Functor>, count, pieces});
    } else {
      Kokkos::parallel_for(label, range_policy<MemorySpace>(count), functor);
    }
  }
}

template <class MemorySpace, class Functor>
void launch(char const* label, std::int64_t count, Functor const& functor) {
  launch<MemorySpace>(label, count, false, functor);
}

/// The combination of `functor(i, partial)` over all i in [0, count), on the host; functor has Kokkos' `value_type`,
/// `init` and `join`.
template <class MemorySpace, class Functor>
typename Functor::value_type launch_reduce(char const* label, std::int64_t count, Functor const& functor) {
  typename Functor::value_type result{};
  if constexpr (!is_abstract<MemorySpace>) {
    functor.init(result);
    Kokkos::parallel_reduce(label, range_policy<MemorySpace>(count), functor, result);
  }
  return result;
}

/// Calls `functor(member)` for each of `count` teams. Throws ExtentError where there are more than 2^31 - 1, which
/// Kokkos counts by int.
template <class MemorySpace, class Functor>
void launch_teams(char const* label, std::int64_t count, int team_size, int vector_length, Functor const& functor) {
  if constexpr (is_abstract<MemorySpace>) return;
  else if (count > std::numeric_limits<int>::max())
    throw ExtentError(concat(label, ": ", count, " rows or batches on one rank; split them over more ranks"));
  else if (count > 0)
    Kokkos::parallel_for(label,
                         Kokkos::TeamPolicy<typename MemorySpace::execution_space>(
                             execution_space<MemorySpace>(), static_cast<int>(count), team_size, vector_length),
                         functor);
}

/// Elements that one thread sets or copies sooner than it wakes others.
inline constexpr std::int64_t small_row = 1 << 13;

/// Elements in a row that somebody else owns.
template <class MemorySpace, class T>
using Row = Kokkos::View<T*, Kokkos::LayoutRight, MemorySpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

template <class T>
struct FillRow {
  T* data;
  T value;
  KOKKOS_FUNCTION void operator()(std::int64_t i) const { data[i] = value; }
};

template <class T>
struct CopyRow {
  T* to;
  T const* from;
  KOKKOS_FUNCTION void operator()(std::int64_t i) const { to[i] = from[i]; }
};

template <class To, class From>
struct ConvertRow {
  To* to;
  From const* from;
  KOKKOS_FUNCTION void operator()(std::int64_t i) const { to[i] = static_cast<To>(from[i]); }
};

/// Sets `count` elements to `value`.
template <class MemorySpace, class T>
void fill_elements(T* data, std::int64_t count, T value) {
  launch<MemorySpace>("gshard::fill_elements", count, count <= small_row, FillRow<T>{data, value});
}

/// Copies `count` elements that lie in a row.
template <class MemorySpace, class T>
void copy_elements(T* to, T const* from, std::int64_t count) {
  launch<MemorySpace>("gshard::copy_elements", count, count <= small_row, CopyRow<T>{to, from});
}

/// Copies `count` elements that lie in a row as elements of another type, as between BFloat16 and float.
template <class MemorySpace, class To, class From>
void convert_elements(To* to, From const* from, std::int64_t count) {
  launch<MemorySpace>("gshard::convert_elements", count, count <= small_row, ConvertRow<To, From>{to, from});
}

/// Waits for all kernels of gshard on this memory: before its elements are sent, and before temporaries that kernels
/// use end.
template <class MemorySpace>
void fence(char const* reason) {
  if constexpr (!is_abstract<MemorySpace>) execution_space<MemorySpace>().fence(reason);
}

/// Copies `count` elements to the host, and waits for them.
template <class MemorySpace, class T>
void copy_to_host(T* to, T const* from, std::int64_t count) {
  if (count <= 0) return;
  if constexpr (is_abstract<MemorySpace>) {
    std::fill_n(to, count, T{});
  } else if constexpr (runs_on_host<MemorySpace>) {
    fence<MemorySpace>("gshard: elements are read on the host");
    std::copy_n(from, count, to);
  } else {
    Kokkos::deep_copy(execution_space<MemorySpace>(), Row<Kokkos::HostSpace, T>(to, static_cast<std::size_t>(count)),
                      Row<MemorySpace, T const>(from, static_cast<std::size_t>(count)));
    fence<MemorySpace>("gshard: elements are read on the host");
  }
}

/// Copies `count` elements from the host, and waits until `from` may change.
template <class MemorySpace, class T>
void copy_from_host(T* to, T const* from, std::int64_t count) {
  if (count <= 0 || is_abstract<MemorySpace>) return;
  if constexpr (runs_on_host<MemorySpace>) {
    fence<MemorySpace>("gshard: elements are written from the host");
    std::copy_n(from, count, to);
  } else {
    Kokkos::deep_copy(execution_space<MemorySpace>(), Row<MemorySpace, T>(to, static_cast<std::size_t>(count)),
                      Row<Kokkos::HostSpace, T const>(from, static_cast<std::size_t>(count)));
    fence<MemorySpace>("gshard: elements are written from the host");
  }
}

}  // namespace gshard::detail
