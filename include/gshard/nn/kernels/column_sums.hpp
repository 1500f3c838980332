// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

/// On hosts: the column sums of one block of columns of one batch entry, row after row, in double.
template <class Kernel>
struct ColumnBlockSums {
  static constexpr int width = 32;
  Kernel kernel;
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t blocks;

  KOKKOS_FUNCTION void operator()(std::int64_t item) const {
    std::int64_t const batch = item / blocks;
    std::int64_t const first = item % blocks * width;
    if (columns - first >= width) run(batch, first, width);
    else run(batch, first, static_cast<int>(columns - first));
  }

 private:
  KOKKOS_FORCEINLINE_FUNCTION void run(std::int64_t batch, std::int64_t first, int count) const {
    double sums[Kernel::sums][width] = {};
    for (std::int64_t row = 0; row < rows; ++row)
      for (int k = 0; k < count; ++k) {
        double terms[Kernel::sums] = {};
        kernel.terms(batch, row, first + k, terms);
        for (int s = 0; s < Kernel::sums; ++s) sums[s][k] += terms[s];
      }
    for (int k = 0; k < count; ++k) {
      double totals[Kernel::sums];
      for (int s = 0; s < Kernel::sums; ++s) totals[s] = sums[s][k];
      kernel.store(batch, first + k, totals);
    }
  }
};

/// On accelerators: a team for each column of each batch entry.
template <class Kernel>
struct ColumnTeamSums {
  Kernel kernel;
  std::int64_t rows;
  std::int64_t columns;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t item, Lanes const& lanes) const {
    std::int64_t const batch = item / columns;
    std::int64_t const column = item % columns;
    double totals[Kernel::sums];
    for (int s = 0; s < Kernel::sums; ++s)
      totals[s] = lanes.template sum<double>(rows, [&](std::int64_t row) {
        double terms[Kernel::sums] = {};
        kernel.terms(batch, row, column, terms);
        return terms[s];
      });
    lanes.once([&] { kernel.store(batch, column, totals); });
  }
};

/// Sums over rows, for each column and batch entry, in an order that depends on the extents alone (no atomics). The
/// kernel names its number of `sums`, and has terms(batch, row, column, double (&)[sums]) and store(batch, column,
/// double const (&)[sums]).
template <class MemorySpace, class Kernel>
void column_sums(char const* label, std::int64_t batches, std::int64_t rows, std::int64_t columns,
                 Kernel const& kernel) {
  if (batches <= 0 || columns <= 0) return;
  if constexpr (runs_on_host<MemorySpace>) {
    std::int64_t const blocks = (columns + ColumnBlockSums<Kernel>::width - 1) / ColumnBlockSums<Kernel>::width;
    launch<MemorySpace>(label, batches * blocks, ColumnBlockSums<Kernel>{kernel, rows, columns, blocks});
  } else {
    for_each_row<MemorySpace>(label, batches * columns, ColumnTeamSums<Kernel>{kernel, rows, columns});
  }
}

}  // namespace gshard::nn::detail
