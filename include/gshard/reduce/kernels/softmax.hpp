// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <Kokkos_Core.hpp>

#include <gshard/core/bfloat16.hpp>
#include <gshard/core/rows.hpp>
#include <gshard/core/vector_exp.hpp>
#include <gshard/reduce/kernels/loops.hpp>

// Softmax of whole rows: each is read from memory once. The largest score is subtracted first.

namespace gshard::detail {

enum class SoftmaxForm { plain, logarithm };

/// Every row sees all its columns.
struct AllColumns {
  KOKKOS_FORCEINLINE_FUNCTION std::int64_t count(std::int64_t, std::int64_t columns) const { return columns; }
};

/// By what powers are multiplied, or what is taken off scores, when their sum is known: of minus infinity alone it is
/// 0, and the results are NaN.
template <SoftmaxForm Form, class Sum>
KOKKOS_FORCEINLINE_FUNCTION Sum softmax_factor(Sum sum) {
  if constexpr (Form == SoftmaxForm::plain) return Sum(1) / sum;
  else return Kokkos::log(sum);
}

template <SoftmaxForm Form, class T>
KOKKOS_FORCEINLINE_FUNCTION T softmax_value(T score, T largest, T factor) {
  if constexpr (Form == SoftmaxForm::plain) return loop_exp(score - largest) * factor;
  else return (score - largest) - factor;
}

/// Rows of the last dimension: lanes share a row. `visible` says how many leading columns a row sees: the others are
/// not read, and get 0.
template <SoftmaxForm Form, class Result, class Source, class Visible>
struct SoftmaxRows {
  Source scores;
  Result* results;
  std::int64_t columns;
  Visible visible;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    using T = std::remove_cvref_t<decltype(scores(0))>;
    std::int64_t const count = visible.count(row, columns);
    std::int64_t const first = row * columns;
    Source const in = scores;
    Result* const out = results + first;
    T const largest = lanes.template max<T>(count, [=](std::int64_t j) { return in(first + j); });
    if constexpr (Form == SoftmaxForm::plain && std::is_same_v<T, Result>) {
      T const sum = lanes.template sum<T>(count, [=](std::int64_t j) {
        T const power = loop_exp(in(first + j) - largest);
        out[j] = power;
        return power;
      });
      T const factor = softmax_factor<Form>(sum);
      lanes.each(count, [=](std::int64_t j) { out[j] *= factor; });
    } else {
      T const sum = lanes.template sum<T>(count, [=](std::int64_t j) { return loop_exp(in(first + j) - largest); });
      T const factor = softmax_factor<Form>(sum);
      lanes.each(count, [=](std::int64_t j) {
        out[j] = static_cast<Result>(softmax_value<Form>(in(first + j), largest, factor));
      });
    }
    lanes.each(columns - count, [=](std::int64_t j) { out[count + j] = Result(0); });
  }
};

/// Rows along another dimension than the last, each by itself: a tile of them for a host thread, or one for a device
/// thread.
template <SoftmaxForm Form, class Result, class Source>
struct SoftmaxColumns {
  static constexpr int tile = 256;

  Source scores;
  Result* results;
  AlongShape shape;

  std::int64_t tiles() const { return (shape.inner + tile - 1) / tile; }

  void operator()(std::int64_t item) const {
    using T = std::remove_cvref_t<decltype(scores(0))>;
    Source const in = scores;
    Result* const out = results;
    std::int64_t const begin = item % tiles() * tile;
    std::int64_t const first = item / tiles() * shape.length * shape.inner + begin;
    std::int64_t const last = first + shape.length * shape.inner;
    std::int64_t const step = shape.inner;
    int const count = static_cast<int>(std::min<std::int64_t>(tile, shape.inner - begin));
    T largest[tile];
    T sums[tile];
    for (int i = 0; i < count; ++i) {
      largest[i] = lowest_of<T>();
      sums[i] = T(0);
    }
    for (std::int64_t position = first; position < last; position += step)
      for (int i = 0; i < count; ++i) {
        Largest<T>::combine(largest[i], in(position + i));
      }
    for (std::int64_t position = first; position < last; position += step)
      for (int i = 0; i < count; ++i) sums[i] += loop_exp(in(position + i) - largest[i]);
    for (int i = 0; i < count; ++i) sums[i] = softmax_factor<Form>(sums[i]);
    for (std::int64_t position = first; position < last; position += step)
      for (int i = 0; i < count; ++i)
        out[position + i] = static_cast<Result>(softmax_value<Form>(in(position + i), largest[i], sums[i]));
  }

  KOKKOS_FUNCTION void one_row(std::int64_t row) const {
    using T = std::remove_cvref_t<decltype(scores(0))>;
    std::int64_t const first = row / shape.inner * shape.length * shape.inner + row % shape.inner;
    std::int64_t const last = first + shape.length * shape.inner;
    T largest = lowest_of<T>();
    for (std::int64_t position = first; position < last; position += shape.inner)
      Largest<T>::combine(largest, scores(position));
    T sum = 0;
    for (std::int64_t position = first; position < last; position += shape.inner)
      sum += loop_exp(scores(position) - largest);
    T const factor = softmax_factor<Form>(sum);
    for (std::int64_t position = first; position < last; position += shape.inner)
      results[position] = static_cast<Result>(softmax_value<Form>(scores(position), largest, factor));
  }
};

template <class Kernel>
struct SoftmaxOneRow {
  Kernel kernel;
  KOKKOS_FUNCTION void operator()(std::int64_t row) const { kernel.one_row(row); }
};

/// Softmax along the dimension in the middle of a block (outer, length, inner), which is whole.
template <class MemorySpace, SoftmaxForm Form, class Result, class Source>
void softmax_of_block(Source const& scores, Result* results, AlongShape const& shape) {
  bool const tiny = shape.rows() * shape.length <= small_row / 8;
  if (shape.inner == 1) {
    for_each_row<MemorySpace>("gshard::softmax", shape.outer, tiny,
                              SoftmaxRows<Form, Result, Source, AllColumns>{scores, results, shape.length, {}});
  } else {
    SoftmaxColumns<Form, Result, Source> const kernel{scores, results, shape};
    if constexpr (runs_on_host<MemorySpace>)
      launch<MemorySpace>("gshard::softmax", shape.outer * kernel.tiles(), tiny, kernel);
    else
      launch<MemorySpace>("gshard::softmax", shape.rows(), SoftmaxOneRow<SoftmaxColumns<Form, Result, Source>>{kernel});
  }
}

/// The gradient of softmax of rows of the last dimension, d scores = scale * p * (dp - sum(p * dp)), from its result p
/// and the gradient dp of that. Where `visible` hides columns, p and dp are not read, and the gradient is 0.
template <class T, class Visible>
struct SoftmaxRowsBackward {
  T const* probabilities;
  T const* upstream;
  T* gradient;
  std::int64_t columns;
  Visible visible;
  Computed<T> scale;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    using Number = Computed<T>;
    std::int64_t const count = visible.count(row, columns);
    T const* const p = probabilities + row * columns;
    T const* const dp = upstream + row * columns;
    T* const out = gradient + row * columns;
    Number const factor = scale;
    Number const mean = lanes.template sum<Number>(count, [=](std::int64_t j) { return Number(p[j]) * Number(dp[j]); });
    lanes.each(count, [=](std::int64_t j) { out[j] = static_cast<T>(factor * Number(p[j]) * (Number(dp[j]) - mean)); });
    lanes.each(columns - count, [=](std::int64_t j) { out[count + j] = T(0); });
  }
};

}  // namespace gshard::detail
