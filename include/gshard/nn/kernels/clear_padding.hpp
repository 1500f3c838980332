// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

/// One token's row, zeros for padding, whose row is not read. `result` may be `rows`.
template <class T>
struct ClearPadding {
  int const* mask;
  T const* rows;
  T* result;
  std::int64_t columns;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t token, Lanes const& lanes) const {
    T const* const in = rows + token * columns;
    T* const out = result + token * columns;
    if (mask[token] != 0) lanes.each(columns, [=](std::int64_t j) { out[j] = in[j]; });
    else lanes.each(columns, [=](std::int64_t j) { out[j] = T(0); });
  }
};

template <class MemorySpace, class T>
void clear_padding(std::int64_t tokens, ClearPadding<T> const& kernel) {
  for_each_row<MemorySpace>("gshard::clear_padding", kernel.columns == 0 ? 0 : tokens, kernel);
}

}  // namespace gshard::nn::detail
