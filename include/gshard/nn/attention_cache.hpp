// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include <gshard/nn/kernels/cached_attention.hpp>
#include <gshard/nn/operation.hpp>

namespace gshard::nn {

/// What a layer of attention has computed of the places of each sentence, for queries to come.
template <AnyTensor Places>
struct AttentionCache {
  Places keys;    ///< (G, N, K, H, D)
  Places values;  ///< (G, N, K, H, D)
};

/// Attention of the newest place of each sentence, queries (G, N, H, D), to the places in a cache of the same groups: a
/// mean (G, N, H, D) of the values. Sentences whose `real` (G, N) is 0 get zeros. Sums are in float at least. Linear in
/// the places seen; not recorded; local.
template <AnyTensor Queries, AnyTensor Places, AnyTensor Real>
Queries attend_cached(Queries const& queries, AttentionCache<Places> const& cache, Real const& real,
                      detail::CachedPlaces<typename Queries::memory_space> const& cached) {
  using T = typename Queries::value_type;
  using Space = typename Queries::memory_space;
  Queries const result = detail::unset_like(queries);
  std::int64_t const numbers = queries.local_size() * cached.places;
  queries.mesh().memory().ledger().add_work("cached_attention", 4 * numbers,
                                            2 * numbers * static_cast<std::int64_t>(sizeof(T)));
  using Number = gshard::detail::Computed<T>;
  Number const scale = static_cast<Number>(1 / std::sqrt(static_cast<double>(queries.extent(3))));
  auto const run = [&](Number* sums) {
    detail::cached_attention<T, Space>(queries.local(), cache.keys.data(), cache.values.data(), real.local(), cached,
                                       sums, result.data(), scale);
  };
  if constexpr (std::is_same_v<T, Number>) {
    run(result.data());
  } else {
    Scratch<Space> scratch(queries.mesh().memory());
    run(scratch.template get<Number>(queries.local_size()));
    gshard::detail::fence<Space>("gshard::cached_attention: temporaries end here");
  }
  return result;
}

/// Adds a place to a cache: keys and values (G, N, H, D) of the sentences whose `real` (G, N) is not 0. Local.
template <AnyTensor Places, AnyTensor Rows, AnyTensor Real>
void remember(AttentionCache<Places> const& cache, std::int64_t place, Rows const& keys, Rows const& values,
              Real const& real) {
  using T = typename Rows::value_type;
  using Space = typename Rows::memory_space;
  detail::record_kernel("remember_place", keys, values, keys, values);
  auto const rows = [](Rows const& tensor) {
    auto const sentences = static_cast<std::size_t>(tensor.local_extent(0) * tensor.local_extent(1));
    return detail::Rank2<T const, Space>(tensor.data(), sentences,
                                         static_cast<std::size_t>(tensor.local_extent(2) * tensor.local_extent(3)));
  };
  detail::remember_place<T, Space>(rows(keys), rows(values), detail::row_of(real), cache.keys.data(),
                                   cache.values.data(), cache.keys.extent(2), place);
}

}  // namespace gshard::nn
