// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/compiled.hpp>
#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

/// Which expert a row belongs to: experts have `each` rows one after the other, or, where `ends` is given, those before
/// their end there.
struct ExpertOfRow {
  std::int64_t each = 1;
  std::int64_t const* ends = nullptr;
  std::int64_t experts = 0;

  KOKKOS_FORCEINLINE_FUNCTION std::int64_t operator()(std::int64_t row) const {
    if (ends == nullptr) return row / each;
    std::int64_t first = 0;
    std::int64_t count = experts;
    while (count > 0) {
      std::int64_t const half = count / 2;
      if (ends[first + half] <= row) {
        first += half + 1;
        count -= half + 1;
      } else {
        count = half;
      }
    }
    return first;
  }
};

template <class T>
struct AddExpertBias {
  T const* rows;
  T const* bias;
  T* result;
  std::int64_t columns;
  ExpertOfRow expert_of;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    T const* const in = rows + row * columns;
    T const* const added = bias + expert_of(row) * columns;
    T* const out = result + row * columns;
    lanes.each(columns, [=](std::int64_t j) { out[j] = static_cast<T>(in[j] + added[j]); });
  }
};

/// result(r, :) = rows(r, :) + bias(expert of r, :).
template <class MemorySpace, class T>
void add_expert_bias(std::int64_t count, AddExpertBias<T> const& kernel) {
  for_each_row<MemorySpace>("gshard::add_expert_bias", kernel.columns == 0 ? 0 : count, kernel);
}
GSHARD_COMPILED_FLOATS(add_expert_bias)

}  // namespace gshard::nn::detail
