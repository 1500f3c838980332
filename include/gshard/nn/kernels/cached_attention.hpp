// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/bfloat16.hpp>
#include <gshard/core/compiled.hpp>
#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

/// Where the keys and values lie that the newest place of each sentence sees: caches (G, R, K, H, D) of R sentences, K
/// places each.
template <class MemorySpace>
struct CachedPlaces {
  std::int64_t sentences;  ///< R
  std::int64_t capacity;   ///< K
  std::int64_t places;     ///< how many leading places are set
  std::int64_t share = 1;  ///< how many sentences n in a row look at the same cached one
  /// (G, R): the words of each cached sentence; empty: all places that are set
  Rank2<int const, MemorySpace> lengths{};
  /// (G, N, K): the cached sentence that has place k of sentence n; empty: n / share
  Rank3<int const, MemorySpace> holders{};

  KOKKOS_FORCEINLINE_FUNCTION std::int64_t visible(std::int64_t group, std::int64_t sentence) const {
    if (lengths.data() == nullptr) return places;
    std::int64_t const length = lengths(group, sentence / share);
    if (length < 0) return 0;
    return length < places ? length : places;
  }
  /// The place's row in the cache, of H * D numbers.
  KOKKOS_FORCEINLINE_FUNCTION std::int64_t row(std::int64_t group, std::int64_t sentence, std::int64_t place) const {
    std::int64_t const holder = holders.data() == nullptr ? sentence / share : holders(group, sentence, place);
    return (group * sentences + holder) * capacity + place;
  }
};

/// One head of one sentence, by an online softmax: one pass over the keys, which rescales the running sum when a new
/// maximum appears.
template <class T, class MemorySpace>
struct CachedAttentionKernel {
  using Number = gshard::detail::Computed<T>;
  Rank4<T const, MemorySpace> queries;
  T const* keys;
  T const* values;
  Rank2<int const, MemorySpace> real;
  CachedPlaces<MemorySpace> cached;
  Number* sums;
  T* result;
  Number scale;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t item, Lanes const& lanes) const {
    std::int64_t const heads = extent(queries, 2);
    std::int64_t const size = extent(queries, 3);
    std::int64_t const head = item % heads;
    std::int64_t const group = item / heads / extent(queries, 1);
    std::int64_t const sentence = item / heads % extent(queries, 1);
    T const* const query = queries.data() + item * size;
    Number* const sum = sums + item * size;
    T* const out = result + item * size;
    std::int64_t const visible = real(group, sentence) == 0 ? 0 : cached.visible(group, sentence);
    lanes.each(size, [=](std::int64_t j) { sum[j] = Number(0); });
    Number largest = Kokkos::Experimental::finite_min_v<Number>;
    Number powers = Number(0);
    for (std::int64_t place = 0; place < visible; ++place) {
      std::int64_t const first = (cached.row(group, sentence, place) * heads + head) * size;
      T const* const key = keys + first;
      T const* const value = values + first;
      Number const score =
          scale * lanes.template sum<Number>(size, [=](std::int64_t j) { return Number(query[j]) * Number(key[j]); });
      if (score > largest) {
        Number const shrink = loop_exp(largest - score);
        largest = score;
        powers *= shrink;
        lanes.each(size, [=](std::int64_t j) { sum[j] *= shrink; });
      }
      Number const power = loop_exp(score - largest);
      powers += power;
      lanes.each(size, [=](std::int64_t j) { sum[j] += power * Number(value[j]); });
    }
    Number const inverse = visible == 0 ? Number(0) : Number(1) / powers;
    lanes.each(size, [=](std::int64_t j) { out[j] = static_cast<T>(sum[j] * inverse); });
  }
};

/// Attention of one query for each sentence to cached places: queries, result (G, N, H, D); keys, values (G, R, K, H,
/// D). The result is softmax(scale * q k) v over the places that the sentence sees, 0 where there are none or `real`
/// (G, N) is 0. `sums` has the size of the result, and may be it. Linear in those places.
template <class MemorySpace, class T>
void cached_attention(Rank4<T const, MemorySpace> queries, T const* keys, T const* values,
                      Rank2<int const, MemorySpace> real, CachedPlaces<MemorySpace> const& cached,
                      gshard::detail::Computed<T>* sums, T* result, gshard::detail::Computed<T> scale) {
  for_each_row<MemorySpace>(
      "gshard::cached_attention", extent(queries, 0) * extent(queries, 1) * extent(queries, 2),
      CachedAttentionKernel<T, MemorySpace>{queries, keys, values, real, cached, sums, result, scale});
}
GSHARD_COMPILED_FLOATS(cached_attention)

template <class T, class MemorySpace>
struct RememberPlaceKernel {
  Rank2<T const, MemorySpace> keys;
  Rank2<T const, MemorySpace> values;
  Rank1<int const, MemorySpace> real;
  T* cached_keys;
  T* cached_values;
  std::int64_t capacity;
  std::int64_t place;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t sentence, Lanes const& lanes) const {
    if (real(sentence) == 0) return;
    std::int64_t const size = extent(keys, 1);
    T const* const key = keys.data() + sentence * size;
    T const* const value = values.data() + sentence * size;
    T* const cached_key = cached_keys + (sentence * capacity + place) * size;
    T* const cached_value = cached_values + (sentence * capacity + place) * size;
    lanes.each(size, [=](std::int64_t j) {
      cached_key[j] = key[j];
      cached_value[j] = value[j];
    });
  }
};

/// Writes keys and values (G * N, H * D) to `place` of caches (G, N, K, H, D), K the capacity, where `real` (G * N) is
/// not 0.
template <class MemorySpace, class T>
void remember_place(Rank2<T const, MemorySpace> keys, Rank2<T const, MemorySpace> values,
                    Rank1<int const, MemorySpace> real, T* cached_keys, T* cached_values, std::int64_t capacity,
                    std::int64_t place) {
  for_each_row<MemorySpace>(
      "gshard::remember_place", extent(keys, 0),
      RememberPlaceKernel<T, MemorySpace>{keys, values, real, cached_keys, cached_values, capacity, place});
}
GSHARD_COMPILED_FLOATS(remember_place)

/// The positions of new words, all at one place, and which of them are words.
template <class MemorySpace>
struct PlaceWordsKernel {
  Rank1<int const, MemorySpace> words;
  Rank1<int, MemorySpace> positions;
  Rank1<int, MemorySpace> real;
  int place;

  KOKKOS_FUNCTION void operator()(std::int64_t sentence) const {
    bool const is_word = words(sentence) >= 0;
    positions(sentence) = is_word ? place : -1;
    real(sentence) = is_word ? 1 : 0;
  }
};

/// Row (g, n) of the table that says which sentence holds each place: that of its parent, and the place that it gets
/// now is its own.
template <class MemorySpace>
struct FollowParentsKernel {
  Rank2<int const, MemorySpace> parents;  ///< (G, N); empty: each is its own
  Rank3<int const, MemorySpace> before;   ///< (G, N, K); empty: each holds its own
  Rank3<int, MemorySpace> holders;        ///< (G, N, K)
  std::int64_t place;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t item, Lanes const& lanes) const {
    std::int64_t const group = item / extent(holders, 1);
    std::int64_t const sentence = item % extent(holders, 1);
    int const parent = parents.data() == nullptr ? static_cast<int>(sentence) : parents(group, sentence);
    int const* const from = before.data() == nullptr ? nullptr : &before(group, parent, 0);
    int* const to = holders.data() + item * extent(holders, 2);
    lanes.each(place, [=](std::int64_t k) { to[k] = from == nullptr ? parent : from[k]; });
    lanes.once([&] { to[place] = static_cast<int>(sentence); });
  }
};

}  // namespace gshard::nn::detail
