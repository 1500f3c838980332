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

// Functions that launch kernels, and that fill, copy and read elements: operations access a memory space through these
// functions alone. For AbstractSpace they launch nothing; values copied or reduced to the host are 0.

namespace gshard::detail {

/// True if kernels on `MemorySpace` run on Kokkos' default host execution space.
/// True for AbstractSpace too: operations then take the host path with its temporaries, so that an abstract ledger
/// agrees with one of a host run.
template <class MemorySpace>
inline constexpr bool runs_on_host =
    is_abstract<MemorySpace> ||
    std::is_same_v<typename MemorySpace::execution_space, Kokkos::DefaultHostExecutionSpace>;

/// Returns the number of threads of the execution space of `MemorySpace`; 1 for AbstractSpace.
template <class MemorySpace>
std::int64_t concurrency() {
  if constexpr (is_abstract<MemorySpace>) return 1;
  else return execution_space<MemorySpace>().concurrency();
}

/// Returns the policy of the iterations [0, count) on an instance.
template <class ExecutionSpace>
auto range_policy_on(ExecutionSpace const& instance, std::int64_t count) {
  return Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::int64_t>>(instance, 0, count);
}

/// Returns the policy of the iterations [0, count) on the chosen instance for `MemorySpace`.
template <class MemorySpace>
auto range_policy(std::int64_t count) {
  return range_policy_on(execution_space<MemorySpace>(), count);
}

/// Calls `functor(i)` for each i in [begin, end), in order.
template <class Functor>
void run_iterations(void const* functor, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i) (*static_cast<Functor const*>(functor))(i);
}

/// Host kernel over `pieces` contiguous ranges of the iterations [0, count) of a type-erased functor.
/// Kokkos::parallel_for is compiled once for this type instead of once per functor.
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

/// Calls `functor(i)` for each i in [0, count), in parallel.
/// On the host, `tiny` keeps the loop on the calling thread: for a small job, waking threads costs more than it saves.
template <class MemorySpace, class Functor>
void launch(char const* label, std::int64_t count, bool tiny, Functor const& functor) {
  if constexpr (!is_abstract<MemorySpace>) {
    if (count <= 0) return;
    if constexpr (runs_on_host<MemorySpace>) {
      if (tiny || count == 1) return run_iterations<Functor>(&functor, 0, count);
      auto const instance = execution_space<MemorySpace>();
      std::int64_t const pieces = std::min<std::int64_t>(count, instance.concurrency());
      Kokkos::parallel_for(label, range_policy_on(instance, pieces),
                           HostPieces{&functor, &run_iterations<Functor>, count, pieces});
    } else {
      Kokkos::parallel_for(label, range_policy<MemorySpace>(count), functor);
    }
  }
}

/// Calls `functor(i)` for each i in [0, count), in parallel.
template <class MemorySpace, class Functor>
void launch(char const* label, std::int64_t count, Functor const& functor) {
  launch<MemorySpace>(label, count, false, functor);
}

/// Reduces `functor(i, partial)` over all i in [0, count); returns the result on the host.
/// `Functor` is a Kokkos reduction functor with `value_type`, `init` and `join`.
template <class MemorySpace, class Functor>
typename Functor::value_type launch_reduce(char const* label, std::int64_t count, Functor const& functor) {
  typename Functor::value_type result{};
  if constexpr (!is_abstract<MemorySpace>) {
    functor.init(result);
    Kokkos::parallel_reduce(label, range_policy<MemorySpace>(count), functor, result);
  }
  return result;
}

/// Calls `functor(member)` for each of `count` teams.
/// Throws ExtentError if `count` exceeds 2^31 - 1: Kokkos counts teams by int.
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

/// Maximum number of elements that one thread fills or copies faster than several threads.
inline constexpr std::int64_t small_row = 1 << 13;

/// Non-owning view of contiguous elements.
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

/// Sets `count` contiguous elements to `value`. Does not fence.
template <class MemorySpace, class T>
void fill_elements(T* data, std::int64_t count, T value) {
  launch<MemorySpace>("gshard::fill_elements", count, count <= small_row, FillRow<T>{data, value});
}

/// Copies `count` contiguous elements. Does not fence.
template <class MemorySpace, class T>
void copy_elements(T* to, T const* from, std::int64_t count) {
  launch<MemorySpace>("gshard::copy_elements", count, count <= small_row, CopyRow<T>{to, from});
}

/// Converts `count` contiguous elements to another type, as between BFloat16 and float. Does not fence.
template <class MemorySpace, class To, class From>
void convert_elements(To* to, From const* from, std::int64_t count) {
  launch<MemorySpace>("gshard::convert_elements", count, count <= small_row, ConvertRow<To, From>{to, from});
}

/// Waits for all kernels of gshard on `MemorySpace`. Required before the host or MPI accesses elements.
template <class MemorySpace>
void fence(char const* reason) {
  if constexpr (!is_abstract<MemorySpace>) execution_space<MemorySpace>().fence(reason);
}

/// Copies `count` elements to the host, after all launched kernels, and waits for the copy.
/// Writes zeros for AbstractSpace.
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

/// Copies `count` elements from the host, after all launched kernels, and waits until `from` may change.
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

namespace gshard {

/// `launch<MemorySpace>(label, count, functor)` calls `functor(i)` for each i in [0, count), in parallel, on the
/// execution-space instance that the operations of the library run on (use_execution_space): in order with them,
/// without a fence. `functor` is a named function object with `KOKKOS_FUNCTION void operator()(std::int64_t) const`. In
/// AbstractSpace it launches nothing. Communication: none.
using detail::launch;

}  // namespace gshard
