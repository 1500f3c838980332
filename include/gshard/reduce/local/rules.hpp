// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <type_traits>

#include <Kokkos_Core.hpp>

#include <gshard/comm/message.hpp>
#include <gshard/core/extremes.hpp>

// What reductions do with elements. A rule combines accumulators; an operation says which rule it takes, what it makes
// of an element before, and of which type its results are.

namespace gshard::detail {

/// Adds, multiplies, or takes the larger or the smaller, where NaN propagates.
template <comm::Reduction Kind, class Accumulator>
struct Combining;

template <class Accumulator>
struct Combining<comm::Reduction::sum, Accumulator> {
  static constexpr comm::Reduction kind = comm::Reduction::sum;
  using accumulator = Accumulator;

  KOKKOS_FORCEINLINE_FUNCTION static constexpr Accumulator identity() { return Accumulator(0); }
  KOKKOS_FORCEINLINE_FUNCTION static constexpr void combine(Accumulator& into, Accumulator value) { into += value; }
};

template <class Accumulator>
struct Combining<comm::Reduction::product, Accumulator> {
  static constexpr comm::Reduction kind = comm::Reduction::product;
  using accumulator = Accumulator;

  KOKKOS_FORCEINLINE_FUNCTION static constexpr Accumulator identity() { return Accumulator(1); }
  KOKKOS_FORCEINLINE_FUNCTION static constexpr void combine(Accumulator& into, Accumulator value) {
    if constexpr (std::is_integral_v<Accumulator>) {
      // Unsigned, because products of signed integers that overflow are undefined.
      using Unsigned = std::make_unsigned_t<Accumulator>;
      into = static_cast<Accumulator>(static_cast<Unsigned>(into) * static_cast<Unsigned>(value));
    } else {
      into *= value;
    }
  }
};

template <class Accumulator>
struct Combining<comm::Reduction::maximum, Accumulator> : Largest<Accumulator> {
  static constexpr comm::Reduction kind = comm::Reduction::maximum;
};

template <class Accumulator>
struct Combining<comm::Reduction::minimum, Accumulator> : Smallest<Accumulator> {
  static constexpr comm::Reduction kind = comm::Reduction::minimum;
};

/// What sums and products of T are kept in: double, or 64 bits where T is an integer.
template <class T>
using SumOf = std::conditional_t<std::is_integral_v<T>,
                                 std::conditional_t<std::is_unsigned_v<T>, std::uint64_t, std::int64_t>, double>;

template <class T>
using Fractional = std::conditional_t<std::is_integral_v<T>, double, T>;

struct Summing {
  static constexpr bool is_linear = true;
  static constexpr bool averages = false;    ///< whether sums are divided by the number of elements
  static constexpr bool takes_root = false;  ///< whether the square root of the reduced value is the result
  static constexpr comm::Reduction kind = comm::Reduction::sum;
  template <class T>
  using result = std::conditional_t<std::is_integral_v<T>, SumOf<T>, T>;
  template <class T>
  using accumulator = SumOf<T>;

  template <class Accumulator>
  KOKKOS_FORCEINLINE_FUNCTION static Accumulator term(Accumulator element) {
    return element;
  }
};

struct Averaging : Summing {
  static constexpr bool averages = true;
  template <class T>
  using result = Fractional<T>;
  template <class T>
  using accumulator = double;
};

struct Norming : Averaging {
  static constexpr bool is_linear = false;
  static constexpr bool averages = false;
  static constexpr bool takes_root = true;

  template <class Accumulator>
  KOKKOS_FORCEINLINE_FUNCTION static Accumulator term(Accumulator element) {
    return element * element;
  }
};

struct Multiplying : Summing {
  static constexpr bool is_linear = false;
  static constexpr comm::Reduction kind = comm::Reduction::product;
};

template <comm::Reduction Kind>
struct Choosing : Summing {
  static constexpr bool is_linear = false;
  static constexpr comm::Reduction kind = Kind;
  template <class T>
  using result = T;
  template <class T>
  using accumulator = T;
};

/// The rule of an operation on elements T.
template <class Operation, class T>
using RuleOf = Combining<Operation::kind, typename Operation::template accumulator<T>>;

/// What an operation makes of the elements of an expression, from the position `begin` on.
template <class Operation, class Accumulator, class Kernel>
struct ElementTerm {
  Kernel kernel;
  std::int64_t begin = 0;
  KOKKOS_FORCEINLINE_FUNCTION Accumulator operator()(std::int64_t position, std::int64_t, std::int64_t) const {
    return Operation::term(static_cast<Accumulator>(kernel(begin + position)));
  }
};

}  // namespace gshard::detail
