// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>
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

namespace detail {

/// Whether rows (G, N, H, D) of the newest places, and a mask (G, N), lie beside a cache (G, R, K, H, D): groups and
/// heads split alike, sentences, places and D whole.
template <AnyTensor Rows, AnyTensor Places, AnyTensor Real>
constexpr bool lie_beside_cache() {
  if constexpr (Rows::rank != 4 || Places::rank != 5 || Real::rank != 2) {
    return false;
  } else {
    auto const& rows = Rows::layout.dimensions;
    auto const& places = Places::layout.dimensions;
    return std::is_same_v<Places, with_layout<Rows, Places::layout>> &&
           std::is_same_v<typename Real::value_type, int> && is_split_as<Real, Rows>() &&
           Rows::layout.partial.empty() && Places::layout.partial.empty() && rows[0] == places[0] &&
           rows[2] == places[3] && rows[1].empty() && rows[3].empty() && places[1].empty() && places[2].empty() &&
           places[4].empty();
  }
}

template <AnyTensor Rows, AnyTensor Places, AnyTensor Real>
void check_cache(char const* operation, std::string_view role, Rows const& rows, AttentionCache<Places> const& cache,
                 Real const& real) {
  static_assert(
      lie_beside_cache<Rows, Places, Real>(),
      "gshard: a cache (G, R, K, H, D) is used with rows (G, N, H, D) and a mask (G, N) of int that split G and H as it does, all else whole, and with the same elements; reshard them so");
  gshard::detail::Operand const of_rows(role, rows), of_keys("cached keys", cache.keys);
  require_rows_of(operation, "real", real, role, rows);
  gshard::detail::require_same_shape(operation, {of_keys, {"cached values", cache.values}});
  gshard::detail::require_one_mesh(operation, {of_rows, of_keys});
  gshard::detail::require_equal_extents(operation, of_rows, 0, of_keys, 0);
  gshard::detail::require_equal_extents(operation, of_rows, 2, of_keys, 3);
  gshard::detail::require_equal_extents(operation, of_rows, 3, of_keys, 4);
}

/// Requires that places are those of a cache (G, R, K, H, D), seen by N sentences of `groups` groups here.
template <class MemorySpace>
void check_places(CachedPlaces<MemorySpace> const& cached, std::int64_t groups, std::int64_t n, std::int64_t r,
                  std::int64_t k) {
  bool const has_lengths = cached.lengths.data() != nullptr;
  bool const has_holders = cached.holders.data() != nullptr;
  bool const fits = cached.sentences == r && cached.capacity == k && cached.places >= 0 && cached.places <= k &&
                    cached.share >= 1 && ((has_holders && !has_lengths) || r * cached.share == n) &&
                    (!has_lengths || (extent(cached.lengths, 0) == groups && extent(cached.lengths, 1) == r)) &&
                    (!has_holders || (extent(cached.holders, 0) == groups && extent(cached.holders, 1) == n &&
                                      extent(cached.holders, 2) >= cached.places));
  if (!fits)
    throw ExtentError(gshard::detail::concat("attend_cached: ", n, " sentences look at ", cached.places, " places of ",
                                             cached.sentences, " sentences of ", cached.capacity, ", each seen by ",
                                             cached.share, ", but the cache has ", r, " sentences of ", k, " places"));
}

}  // namespace detail

/// Returns attention of the newest place of each sentence, queries (G, N, H, D), to the places in a cache of the same
/// groups: a mean (G, N, H, D) of the values. Places that a sentence does not see are not read; sentences that see
/// none, or whose `real` (G, N) is 0, get zeros. Sums are in float at least. Not recorded; local. Throws ExtentError
/// where the cache has other groups or heads, or other places than `cached` says.
template <AnyTensor Queries, AnyTensor Places, AnyTensor Real>
Queries attend_cached(Queries const& queries, AttentionCache<Places> const& cache, Real const& real,
                      detail::CachedPlaces<typename Queries::memory_space> const& cached) {
  using T = typename Queries::value_type;
  using Space = typename Queries::memory_space;
  detail::check_cache("attend_cached", "queries", queries, cache, real);
  detail::check_places(cached, queries.local_extent(0), queries.extent(1), cache.keys.extent(1), cache.keys.extent(2));
  Queries const result = empty_like(queries);
  std::int64_t const numbers = queries.local_size() * cached.places;
  queries.memory().ledger().add_work("cached_attention", 4 * numbers,
                                     2 * numbers * static_cast<std::int64_t>(sizeof(T)));
  using Number = gshard::detail::Computed<T>;
  Number const scale = static_cast<Number>(1 / std::sqrt(static_cast<double>(queries.extent(3))));
  auto const run = [&](Number* sums) {
    detail::cached_attention<Space, T>(queries.local(), cache.keys.data(), cache.values.data(), real.local(), cached,
                                       sums, result.data(), scale);
  };
  if constexpr (std::is_same_v<T, Number>) {
    run(result.data());
  } else {
    Scratch<Space> scratch(queries.memory());
    run(scratch.template get<Number>(queries.local_size()));
  }
  return result;
}

/// Adds a place to a cache: keys and values (G, N, H, D) of the sentences whose `real` (G, N) is not 0; the others keep
/// what they have there. Local.
/// Throws ExtentError where the cache has not as many groups, sentences and heads, IndexError where it has no such
/// place.
template <AnyTensor Places, AnyTensor Rows, AnyTensor Real>
void remember(AttentionCache<Places> const& cache, std::int64_t place, Rows const& keys, Rows const& values,
              Real const& real) {
  using T = typename Rows::value_type;
  using Space = typename Rows::memory_space;
  detail::check_cache("remember", "keys", keys, cache, real);
  gshard::detail::require_same_shape("remember", {{"keys", keys}, {"values", values}});
  // Named types: nvcc loses the end of such a statement where braces hold members of templates.
  using gshard::detail::Operand;
  gshard::detail::require_equal_extents("remember", Operand("keys", keys), 1, Operand("cached keys", cache.keys), 1);
  if (place < 0 || place >= cache.keys.extent(2))
    throw IndexError(
        gshard::detail::concat("remember: place ", place, " of a cache of ", cache.keys.extent(2), " places"));
  detail::record_kernel("remember_place", keys, values, keys, values);
  auto const rows = [](Rows const& tensor) {
    auto const sentences = static_cast<std::size_t>(tensor.local_extent(0) * tensor.local_extent(1));
    return detail::Rank2<T const, Space>(tensor.data(), sentences,
                                         static_cast<std::size_t>(tensor.local_extent(2) * tensor.local_extent(3)));
  };
  detail::remember_place<Space, T>(rows(keys), rows(values), detail::row_of(real), cache.keys.data(),
                                   cache.values.data(), cache.keys.extent(2), place);
}

}  // namespace gshard::nn
