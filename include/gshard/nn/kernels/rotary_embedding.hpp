// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <Kokkos_Core.hpp>

#include <gshard/core/bfloat16.hpp>
#include <gshard/core/compiled.hpp>
#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

/// Shape and angles of a rotation: pair i at position p turns by p * base^(-2i / rotated).
/// A block is (outer, positions, inner, D), D = `rotated` + `kept`, packed.
struct Rotation {
  double base;
  std::int64_t first_position;  ///< of the block
  std::int64_t outer;
  std::int64_t positions;
  std::int64_t inner;
  std::int64_t rotated;  ///< even
  std::int64_t kept;     ///< entries behind those that are rotated
  bool is_halves;        ///< pairs (i, i + rotated / 2) instead of (2i, 2i + 1)
  bool is_inverse;       ///< rotates by the negative angles

  KOKKOS_FORCEINLINE_FUNCTION std::int64_t pairs() const { return rotated / 2; }
  KOKKOS_FORCEINLINE_FUNCTION std::int64_t rows() const { return outer * positions * inner; }
};

/// Computes cosine and sine of each (position, pair).
/// In double whatever the element type: a float has no bits for the fraction of an angle of 1e6.
template <class Number>
struct RotaryAngles {
  Rotation rotation;
  Number* cosines;  ///< (positions, pairs)
  Number* sines;    ///< (positions, pairs)

  KOKKOS_FUNCTION void operator()(std::int64_t item) const {
    std::int64_t const pairs = rotation.pairs();
    auto const position = static_cast<double>(rotation.first_position + item / pairs);
    double const exponent = -2 * static_cast<double>(item % pairs) / static_cast<double>(rotation.rotated);
    double const angle = position * Kokkos::pow(rotation.base, exponent);
    double const sine = Kokkos::sin(angle);
    cosines[item] = static_cast<Number>(Kokkos::cos(angle));
    sines[item] = static_cast<Number>(rotation.is_inverse ? -sine : sine);
  }
};

/// Pairs (2i, 2i + 1).
struct InterleavedPairs {
  KOKKOS_FORCEINLINE_FUNCTION static std::int64_t first(std::int64_t pair) { return 2 * pair; }
  KOKKOS_FORCEINLINE_FUNCTION static std::int64_t second(std::int64_t pair) { return 2 * pair + 1; }
};

/// Pairs (i, i + half).
struct HalvesPairs {
  std::int64_t half;

  KOKKOS_FORCEINLINE_FUNCTION static std::int64_t first(std::int64_t pair) { return pair; }
  KOKKOS_FORCEINLINE_FUNCTION std::int64_t second(std::int64_t pair) const { return half + pair; }
};

/// Rotates the pairs of each row (D) and copies what is not rotated. `output` may be `input`.
/// On a host one work item is a row, so that loops over pairs vectorize; on a device it is a pair or a copied element.
template <class T, class Pairs>
struct RotaryKernel {
  using Number = gshard::detail::Computed<T>;
  Rotation rotation;
  Pairs pairs;
  T const* input;
  T* output;
  Number const* cosines;
  Number const* sines;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    T const* const x = input + row * (rotation.rotated + rotation.kept);
    T* const y = output + row * (rotation.rotated + rotation.kept);
    Number const* const cosine = cosines + angles_of(row);
    Number const* const sine = sines + angles_of(row);
    Pairs const of = pairs;
    lanes.each(rotation.pairs(), [=](std::int64_t i) { rotate(x, y, of.first(i), of.second(i), cosine[i], sine[i]); });
    std::int64_t const rotated = rotation.rotated;
    lanes.each(rotation.kept, [=](std::int64_t j) { y[rotated + j] = x[rotated + j]; });
  }

  KOKKOS_FUNCTION void operator()(std::int64_t item) const {
    std::int64_t const items = rotation.pairs() + rotation.kept;
    std::int64_t const row = item / items, i = item % items;
    T const* const x = input + row * (rotation.rotated + rotation.kept);
    T* const y = output + row * (rotation.rotated + rotation.kept);
    std::int64_t const angle = angles_of(row) + i;
    if (i < rotation.pairs()) rotate(x, y, pairs.first(i), pairs.second(i), cosines[angle], sines[angle]);
    else y[rotation.pairs() + i] = x[rotation.pairs() + i];  // i = pairs is element rotated = 2 pairs
  }

 private:
  KOKKOS_FORCEINLINE_FUNCTION std::int64_t angles_of(std::int64_t row) const {
    return row / rotation.inner % rotation.positions * rotation.pairs();
  }

  KOKKOS_FORCEINLINE_FUNCTION static void rotate(T const* x, T* y, std::int64_t first, std::int64_t second,
                                                 Number cosine, Number sine) {
    Number const a = x[first], b = x[second];
    y[first] = static_cast<T>(a * cosine - b * sine);
    y[second] = static_cast<T>(a * sine + b * cosine);
  }
};

template <class MemorySpace, class Kernel>
void launch_rotary(Kernel const& kernel) {
  Rotation const& rotation = kernel.rotation;
  if constexpr (runs_on_host<MemorySpace>)
    for_each_row<MemorySpace>("gshard::rotary_embedding", rotation.rows(), kernel);
  else launch<MemorySpace>("gshard::rotary_embedding", rotation.rows() * (rotation.pairs() + rotation.kept), kernel);
}

/// Rotates the rows of a block (Su et al. 2021, arXiv 2104.09864). input, output (outer, positions, inner, D), which
/// may be one; `angles` is scratch of 2 * positions * pairs numbers.
template <class MemorySpace, class T>
void rotary_embedding(Rotation const& rotation, T const* input, T* output, gshard::detail::Computed<T>* angles) {
  using Number = gshard::detail::Computed<T>;
  if (rotation.rows() == 0) return;
  std::int64_t const count = rotation.positions * rotation.pairs();
  Number* const sines = angles + count;
  launch<MemorySpace>("gshard::rotary_angles", count, RotaryAngles<Number>{rotation, angles, sines});
  if (rotation.is_halves)
    launch_rotary<MemorySpace>(
        RotaryKernel<T, HalvesPairs>{rotation, {rotation.pairs()}, input, output, angles, sines});
  else launch_rotary<MemorySpace>(RotaryKernel<T, InterleavedPairs>{rotation, {}, input, output, angles, sines});
}
GSHARD_COMPILED_FLOATS(rotary_embedding)

}  // namespace gshard::nn::detail
