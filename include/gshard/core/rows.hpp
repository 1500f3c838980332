// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include <Kokkos_Core.hpp>

#include <gshard/core/extremes.hpp>
#include <gshard/core/launch.hpp>

// Row kernels with one source for hosts and devices. A row kernel is a function object called as kernel(row, lanes).
// `lanes` loops over the columns: on a host in one thread, in loops that compilers vectorize, on a device in a team.

#if defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__)
#define GSHARD_INDEPENDENT _Pragma("GCC ivdep")
#else
#define GSHARD_INDEPENDENT
#endif

namespace gshard::detail {

/// Lanes of a row that one host thread works on.
/// Loops run in blocks of 16, which compilers vectorize at -O2 already. Reductions have 16 interleaved partial results,
/// combined in an order that depends on `count` alone, so results are reproducible bit for bit.
struct ThreadLanes {
  static constexpr int width = 16;

  /// Calls body(j) for each j in [0, count). Precondition: the calls are independent.
  template <class Body>
  KOKKOS_FORCEINLINE_FUNCTION static void each(std::int64_t count, Body const& body) {
    std::int64_t const whole = count - count % width;
    for (std::int64_t j = 0; j < whole; j += width) {
      GSHARD_INDEPENDENT
      for (int k = 0; k < width; ++k) body(j + k);
    }
    GSHARD_INDEPENDENT
    for (std::int64_t j = whole; j < count; ++j) body(j);
  }

  /// Returns the sum of term(j) over j in [0, count). `term` may also write element j of a row.
  template <class Sum, class Term>
  KOKKOS_FORCEINLINE_FUNCTION static Sum sum(std::int64_t count, Term const& term) {
    Sum parts[width] = {};
    std::int64_t const whole = count - count % width;
    for (std::int64_t j = 0; j < whole; j += width) {
      GSHARD_INDEPENDENT
      for (int k = 0; k < width; ++k) parts[k] += static_cast<Sum>(term(j + k));
    }
    int const rest = static_cast<int>(count - whole);
    for (int k = 0; k < width - 1; ++k)
      if (k < rest) parts[k] += static_cast<Sum>(term(whole + k));
    for (int half = width / 2; half > 0; half /= 2)
      for (int k = 0; k < half; ++k) parts[k] += parts[k + half];
    return parts[0];
  }

  /// Returns the maximum of term(j) over j in [0, count): lowest_of<T>() if count = 0, NaN if a term is NaN.
  template <class T, class Term>
  KOKKOS_FORCEINLINE_FUNCTION static T max(std::int64_t count, Term const& term) {
    return fold<Largest<T>>(count, term);
  }

  /// Reduces term(j) over j in [0, count) by `Rule`, a type with the type `accumulator` and the static functions
  /// `identity()` and `combine(into, value)`.
  template <class Rule, class Term>
  KOKKOS_FORCEINLINE_FUNCTION static typename Rule::accumulator fold(std::int64_t count, Term const& term) {
    typename Rule::accumulator total = Rule::identity();
    // Setting up 16 accumulators that are no plain numbers costs more than a scalar loop over a short row.
    constexpr std::int64_t short_row = std::is_arithmetic_v<typename Rule::accumulator> ? width : 8 * width;
    std::int64_t const whole = count < short_row ? 0 : count - count % width;
    if (whole > 0) {
      typename Rule::accumulator parts[width];
      for (int k = 0; k < width; ++k) parts[k] = Rule::identity();
      for (std::int64_t j = 0; j < whole; j += width) {
        GSHARD_INDEPENDENT
        for (int k = 0; k < width; ++k) Rule::combine(parts[k], term(j + k));
      }
      for (int half = width / 2; half > 0; half /= 2)
        for (int k = 0; k < half; ++k) Rule::combine(parts[k], parts[k + half]);
      total = parts[0];
    }
    for (std::int64_t j = whole; j < count; ++j) Rule::combine(total, term(j));
    return total;
  }

  /// Waits for the other lanes of the row; there are none.
  KOKKOS_FORCEINLINE_FUNCTION static void barrier() {}

  /// Calls body() on one lane of the row.
  template <class Body>
  KOKKOS_FORCEINLINE_FUNCTION static void once(Body const& body) {
    body();
  }
};

/// Adapts a rule of `fold` to a Kokkos reducer for nested reductions in a team.
template <class Rule>
struct LaneReducer {
  using reducer = LaneReducer;
  using value_type = typename Rule::accumulator;
  using result_view_type = Kokkos::View<value_type, Kokkos::HostSpace, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
  value_type& result;

  KOKKOS_FUNCTION void init(value_type& value) const { value = Rule::identity(); }
  KOKKOS_FUNCTION void join(value_type& into, value_type const& value) const { Rule::combine(into, value); }
  KOKKOS_FUNCTION value_type& reference() const { return result; }
  KOKKOS_FUNCTION result_view_type view() const { return result_view_type(&result); }
};

/// Lanes of a row that a team works on; members as in ThreadLanes.
template <class Member>
struct TeamLanes {
  Member const& member;

  template <class Body>
  KOKKOS_FORCEINLINE_FUNCTION void each(std::int64_t count, Body const& body) const {
    Kokkos::parallel_for(Kokkos::TeamVectorRange(member, count), body);
  }

  template <class Sum, class Term>
  KOKKOS_FORCEINLINE_FUNCTION Sum sum(std::int64_t count, Term const& term) const {
    Sum result{};
    Kokkos::parallel_reduce(
        Kokkos::TeamVectorRange(member, count), [&](std::int64_t j, Sum& part) { part += static_cast<Sum>(term(j)); },
        result);
    return result;
  }

  template <class T, class Term>
  KOKKOS_FORCEINLINE_FUNCTION T max(std::int64_t count, Term const& term) const {
    return fold<Largest<T>>(count, term);
  }

  template <class Rule, class Term>
  KOKKOS_FORCEINLINE_FUNCTION typename Rule::accumulator fold(std::int64_t count, Term const& term) const {
    typename Rule::accumulator result = Rule::identity();
    Kokkos::parallel_reduce(
        Kokkos::TeamVectorRange(member, count),
        [&](std::int64_t j, typename Rule::accumulator& part) { Rule::combine(part, term(j)); },
        LaneReducer<Rule>{result});
    return result;
  }

  KOKKOS_FORCEINLINE_FUNCTION void barrier() const { member.team_barrier(); }

  template <class Body>
  KOKKOS_FORCEINLINE_FUNCTION void once(Body const& body) const {
    Kokkos::single(Kokkos::PerTeam(member), body);
  }
};

/// Adapts a row kernel to a range policy: one thread per row.
template <class Kernel>
struct RowByThread {
  Kernel kernel;

  KOKKOS_FUNCTION void operator()(std::int64_t row) const { kernel(row, ThreadLanes{}); }
};

/// Adapts a row kernel to a team policy: one team per row.
template <class Kernel>
struct RowByTeam {
  Kernel kernel;

  template <class Member>
  KOKKOS_FUNCTION void operator()(Member const& member) const {
    kernel(static_cast<std::int64_t>(member.league_rank()), TeamLanes<Member>{member});
  }
};

/// Calls kernel(row, lanes) for each row in [0, rows): one thread per row on a host, one team per row on a device.
/// On a host, `tiny` keeps the loop on the calling thread.
/// Throws ExtentError on a device if `rows` exceeds 2^31 - 1.
template <class MemorySpace, class Kernel>
void for_each_row(char const* label, std::int64_t rows, bool tiny, Kernel const& kernel) {
  if constexpr (runs_on_host<MemorySpace>) launch<MemorySpace>(label, rows, tiny, RowByThread<Kernel>{kernel});
  else launch_teams<MemorySpace>(label, rows, 4, 32, RowByTeam<Kernel>{kernel});
}

/// Calls kernel(row, lanes) for each row in [0, rows).
template <class MemorySpace, class Kernel>
void for_each_row(char const* label, std::int64_t rows, Kernel const& kernel) {
  for_each_row<MemorySpace>(label, rows, false, kernel);
}

}  // namespace gshard::detail

#undef GSHARD_INDEPENDENT
