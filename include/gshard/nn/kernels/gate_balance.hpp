// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/compiled.hpp>
#include <gshard/nn/kernels/column_sums.hpp>
#include <gshard/nn/kernels/routes.hpp>

namespace gshard::nn::detail {

/// The counts that a gate's balance loss is made of, and by what they are divided.
template <class Gate, class Counts>
KOKKOS_FORCEINLINE_FUNCTION auto const& balance_counts(Counts const& counts) {
  if constexpr (Gate::balance_choices == BalanceChoices::first) return counts.first_choices;
  else return counts.choices;
}
/// mean_of_all: the choices that a token makes, K or as many as there are experts.
template <class Gate>
KOKKOS_FORCEINLINE_FUNCTION constexpr std::int64_t balance_divisor(std::int64_t experts) {
  if constexpr (Gate::balance_choices != BalanceChoices::mean_of_all) return 1;
  else return experts < Gate::choices ? experts : Gate::choices;
}

/// The sum of the tokens' gates, padding left out, for each group and expert: on accelerators, by the rules of
/// column_sums.
template <class T, class MemorySpace>
struct GateSums {
  static constexpr int sums = 1;
  Rank3<T const, MemorySpace> gates;
  Rank2<int const, MemorySpace> mask;
  Rank2<T, MemorySpace> result;

  KOKKOS_FORCEINLINE_FUNCTION void terms(std::int64_t group, std::int64_t row, std::int64_t column,
                                         double (&out)[sums]) const {
    std::int64_t const token = group * extent(gates, 1) + row;
    if (mask.data() == nullptr || mask.data()[token] != 0) out[0] = gates.data()[token * extent(gates, 2) + column];
  }
  KOKKOS_FORCEINLINE_FUNCTION void store(std::int64_t group, std::int64_t column, double const (&totals)[sums]) const {
    result(group, column) = static_cast<T>(totals[0]);
  }
};

/// On hosts: the same for a block of experts of one group, in one walk over its tokens.
template <class T, class MemorySpace>
struct GateBlockSums {
  static constexpr int most = 512;
  Rank3<T const, MemorySpace> gates;
  Rank2<int const, MemorySpace> mask;
  Rank2<T, MemorySpace> result;
  std::int64_t width;  ///< experts of a block, at most `most`
  std::int64_t blocks;

  KOKKOS_FUNCTION void operator()(std::int64_t item) const {
    std::int64_t const tokens = extent(gates, 1), experts = extent(gates, 2);
    std::int64_t const group = item / blocks;
    std::int64_t const first = item % blocks * width;
    std::int64_t const count = experts - first < width ? experts - first : width;
    double sums[most] = {};
    for (std::int64_t token = group * tokens; token < (group + 1) * tokens; ++token) {
      if (mask.data() != nullptr && mask.data()[token] == 0) continue;
      T const* const g = gates.data() + token * experts + first;
      ThreadLanes::each(count, [&](std::int64_t e) { sums[e] += static_cast<double>(g[e]); });
    }
    for (std::int64_t e = 0; e < count; ++e) result(group, first + e) = static_cast<T>(sums[e]);
  }
};

template <class MemorySpace, class T>
void gate_sums(Rank3<T const, MemorySpace> gates, Rank2<int const, MemorySpace> mask, Rank2<T, MemorySpace> result) {
  std::int64_t const groups = extent(gates, 0), experts = extent(gates, 2);
  if constexpr (runs_on_host<MemorySpace>) {
    if (groups == 0 || experts == 0) return;
    using Sums = GateBlockSums<T, MemorySpace>;
    // Wide blocks read memory in order; there are enough of them for all threads where experts are many.
    std::int64_t const wanted = (gshard::detail::concurrency<MemorySpace>() + groups - 1) / groups;
    std::int64_t width = (experts + wanted - 1) / wanted;
    width = width < 32 ? 32 : width > Sums::most ? Sums::most : width;
    std::int64_t const blocks = (experts + width - 1) / width;
    launch<MemorySpace>("gshard::gate_sums", groups * blocks, Sums{gates, mask, result, width, blocks});
  } else {
    column_sums<MemorySpace>("gshard::gate_sums", groups, extent(gates, 1), experts,
                             GateSums<T, MemorySpace>{gates, mask, result});
  }
}
GSHARD_COMPILED_FLOATS(gate_sums)

/// Counts one group's tokens, and turns its sums of gates into means, and into its balance loss; of padding alone, 0.
template <class Gate, class T, class MemorySpace>
struct GateBalance {
  Rank2<int const, MemorySpace> mask;
  std::int64_t tokens;
  GateCounts<T, MemorySpace> counts;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t group, Lanes const& lanes) const {
    std::int64_t const experts = extent(counts.mean_gates, 1);
    T* const mean = counts.mean_gates.data() + group * experts;
    int const* const tokens_of_group = mask.data() == nullptr ? nullptr : mask.data() + group * tokens;
    std::int64_t const found =
        tokens_of_group == nullptr
            ? tokens
            : lanes.template sum<std::int64_t>(tokens, [=](std::int64_t s) { return tokens_of_group[s] != 0 ? 1 : 0; });
    double const inverse = found > 0 ? 1.0 / static_cast<double>(found) : 0.0;
    lanes.each(experts, [=](std::int64_t e) { mean[e] = static_cast<T>(mean[e] * inverse); });
    double loss = 0;
    if constexpr (Gate::balance_choices != BalanceChoices::nothing) {
      int const* const count = balance_counts<Gate>(counts).data() + group * experts;
      double const share = inverse / static_cast<double>(balance_divisor<Gate>(experts));
      loss = lanes.template sum<double>(experts, [=](std::int64_t e) { return count[e] * share * mean[e]; });
    }
    lanes.once([&] {
      counts.tokens(group) = static_cast<int>(found);
      counts.balance_loss(group) = static_cast<T>(experts > 0 ? loss / static_cast<double>(experts) : 0.0);
    });
  }
};

/// The mean gates and the balance loss of each group; of padding alone, 0.
template <class Gate, class T, class MemorySpace>
void balance(Rank3<T const, MemorySpace> gates, Rank2<int const, MemorySpace> mask,
             GateCounts<T, MemorySpace> const& counts) {
  gate_sums<MemorySpace, T>(gates, mask, counts.mean_gates);
  for_each_row<MemorySpace>("gshard::gate_balance", extent(gates, 0),
                            GateBalance<Gate, T, MemorySpace>{mask, extent(gates, 1), counts});
}

}  // namespace gshard::nn::detail
