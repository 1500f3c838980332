// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/core/compiled.hpp>
#include <gshard/nn/kernels/views.hpp>

namespace gshard::nn::detail {

/// What one row of logits, or the block of it that a rank holds, gives to the loss.
template <class T>
struct LogitSummary {
  /// maximum; the lowest finite number where there is no larger one, so that logits of minus infinity have powers of 0
  T largest = Kokkos::Experimental::finite_min_v<T>;
  T power_sum = T(0);  ///< sum of exp(logit - largest)
  T total = T(0);      ///< sum of the logits
  T target = T(0);     ///< the logit of the target; 0 where the target is not among these columns
};

/// `total` is summed on demand alone: a logit of minus infinity may stand in a row whose loss is not smoothed.
template <class T, class Lanes>
KOKKOS_FORCEINLINE_FUNCTION LogitSummary<T> summarize_logits(T const* logits, std::int64_t columns, std::int64_t target,
                                                             bool with_total, Lanes const& lanes) {
  LogitSummary<T> summary;
  T const found = lanes.template max<T>(columns, [=](std::int64_t j) { return logits[j]; });
  T const largest = found > summary.largest ? found : summary.largest;
  summary.largest = largest;
  summary.power_sum = lanes.template sum<T>(columns, [=](std::int64_t j) { return loop_exp(logits[j] - largest); });
  if (with_total) summary.total = lanes.template sum<T>(columns, [=](std::int64_t j) { return logits[j]; });
  if (target >= 0 && target < columns) summary.target = logits[target];
  return summary;
}

/// The loss of a row of `vocabulary` logits: -sum_v q_v log p_v with q = (1 - smoothing) * one_hot + smoothing /
/// vocabulary. Differences to the largest logit come first, so the loss is as exact for logits about 1e4 as for those
/// about 0.
template <class T>
KOKKOS_FORCEINLINE_FUNCTION T smoothed_loss(LogitSummary<T> const& summary, T smoothing, std::int64_t vocabulary) {
  T const log_powers = Kokkos::log(summary.power_sum);
  T const plain = log_powers + (summary.largest - summary.target);
  if (smoothing == T(0)) return plain;
  T const even = log_powers + (summary.largest - summary.total / static_cast<T>(vocabulary));
  if (smoothing == T(1)) return even;  // `plain` may be infinite
  return (T(1) - smoothing) * plain + smoothing * even;
}

/// What the kernels of the loss are told besides tensors.
template <class T>
struct LossNumbers {
  T smoothing = T(0);
  T z_loss = T(0);              ///< times log_sum^2, added to the loss of each row
  std::int64_t first = 0;       ///< the columns are [first, first + columns) of
  std::int64_t vocabulary = 0;  ///< this many; 0: all columns

  KOKKOS_FUNCTION T loss(LogitSummary<T> const& summary, T log_sum, std::int64_t columns) const {
    return smoothed_loss(summary, smoothing, vocabulary == 0 ? columns : vocabulary) + z_loss * log_sum * log_sum;
  }
};

template <class T, class MemorySpace>
struct CrossEntropyKernel {
  Rank2<T const, MemorySpace> logits;
  Rank1<int const, MemorySpace> targets;
  Rank1<T, MemorySpace> losses;
  Rank1<T, MemorySpace> log_sums;
  LossNumbers<T> numbers;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    std::int64_t const columns = extent(logits, 1);
    std::int64_t const target = targets(row);
    T loss = T(0);
    T log_sum = T(0);
    if (target >= 0) {
      auto const summary =
          summarize_logits(logits.data() + row * columns, columns, target, numbers.smoothing != T(0), lanes);
      log_sum = summary.largest + Kokkos::log(summary.power_sum);
      loss = numbers.loss(summary, log_sum, columns);
    }
    lanes.once([&] {
      losses(row) = loss;
      log_sums(row) = log_sum;
    });
  }
};

template <class T, class MemorySpace>
struct CrossEntropySummaryKernel {
  Rank2<T const, MemorySpace> logits;
  Rank1<int const, MemorySpace> targets;
  Rank2<T, MemorySpace> summaries;
  std::int64_t first;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    std::int64_t const columns = extent(logits, 1);
    std::int64_t const target = targets(row);
    LogitSummary<T> summary;
    if (target >= 0) summary = summarize_logits(logits.data() + row * columns, columns, target - first, true, lanes);
    lanes.once([&] {
      summaries(row, 0) = summary.largest;
      summaries(row, 1) = summary.power_sum;
      summaries(row, 2) = summary.total;
      summaries(row, 3) = summary.target;
    });
  }
};

template <class T, class MemorySpace>
struct LargestLogitKernel {
  Rank2<T const, MemorySpace> summaries;
  Rank1<T, MemorySpace> largest;

  KOKKOS_FUNCTION void operator()(std::int64_t row) const { largest(row) = summaries(row, 0); }
};

/// The sums of a summary with another maximum as their base.
template <class T, class MemorySpace>
struct RebaseSummaryKernel {
  Rank2<T const, MemorySpace> summaries;
  Rank1<T const, MemorySpace> largest;
  Rank2<T, MemorySpace> sums;

  KOKKOS_FUNCTION void operator()(std::int64_t row) const {
    sums(row, 0) = summaries(row, 1) * Kokkos::exp(summaries(row, 0) - largest(row));
    sums(row, 1) = summaries(row, 2);
    sums(row, 2) = summaries(row, 3);
  }
};

template <class T, class MemorySpace>
struct LossOfSummaryKernel {
  Rank1<T const, MemorySpace> largest;
  Rank2<T const, MemorySpace> sums;
  Rank1<int const, MemorySpace> targets;
  Rank1<T, MemorySpace> losses;
  Rank1<T, MemorySpace> log_sums;
  LossNumbers<T> numbers;

  KOKKOS_FUNCTION void operator()(std::int64_t row) const {
    bool const is_real = targets(row) >= 0;
    LogitSummary<T> const summary{largest(row), sums(row, 0), sums(row, 1), sums(row, 2)};
    T const log_sum = is_real ? summary.largest + Kokkos::log(summary.power_sum) : T(0);
    losses(row) = is_real ? numbers.loss(summary, log_sum, 0) : T(0);
    log_sums(row) = log_sum;
  }
};

template <class T, class MemorySpace>
struct CrossEntropyBackwardKernel {
  Rank2<T const, MemorySpace> logits;
  Rank1<int const, MemorySpace> targets;
  Rank1<T const, MemorySpace> log_sums;
  Rank2<T, MemorySpace> gradient;
  Rank0<T const, MemorySpace> upstream;
  T scale;
  LossNumbers<T> numbers;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(std::int64_t row, Lanes const& lanes) const {
    std::int64_t const columns = extent(logits, 1);
    std::int64_t const target = targets(row);
    T const* const in = logits.data() + row * columns;
    T* const out = gradient.data() + row * columns;
    if (target < 0) {
      lanes.each(columns, [=](std::int64_t j) { out[j] = T(0); });
      return;
    }
    T const factor = upstream.data() == nullptr ? scale : scale * *upstream.data();
    T const log_sum = log_sums(row);
    T const off = numbers.smoothing / static_cast<T>(numbers.vocabulary);
    T const on = T(1) - numbers.smoothing + off;
    T const share = T(1) + T(2) * numbers.z_loss * log_sum;
    std::int64_t const first = numbers.first;
    // The target's place is written by one lane from its own logit, which `gradient` may overwrite: read first, then
    // write.
    bool const here = target >= first && target - first < columns;
    T const target_logit = here ? in[target - first] : T(0);
    lanes.barrier();
    lanes.each(columns, [=](std::int64_t j) { out[j] = factor * (share * loop_exp(in[j] - log_sum) - off); });
    lanes.barrier();
    if (here) lanes.once([&] { out[target - first] = factor * (share * loop_exp(target_logit - log_sum) - on); });
  }
};

/// Cross entropy with label smoothing on each row: -sum_v q_v log softmax(logits)_v + z_loss * log_sum^2, where q is
/// 1 - smoothing + smoothing / V for the target and smoothing / V for every other entry. logits (rows, V); targets
/// (rows) below V, where a negative one marks padding, whose loss is 0 and whose logits are not read. losses, log_sums
/// (rows): the loss, and log(sum exp(logits)) for the backward pass (and for a z-loss). The mean over the real tokens
/// is the caller's: it is over the ranks' tokens together.
template <class MemorySpace, class T>
void cross_entropy(Rank2<T const, MemorySpace> logits, Rank1<int const, MemorySpace> targets,
                   Rank1<T, MemorySpace> losses, Rank1<T, MemorySpace> log_sums, T smoothing = T(0), T z_loss = T(0)) {
  for_each_row<MemorySpace>("gshard::cross_entropy", extent(logits, 0),
                            CrossEntropyKernel<T, MemorySpace>{logits, targets, losses, log_sums, {smoothing, z_loss}});
}
GSHARD_COMPILED_WIDE(cross_entropy)

/// What this rank's block of the vocabulary gives to the loss, where V is split over ranks: summaries (rows, 4) get the
/// maximum (the lowest finite number where all are minus infinity), the sum of exp(logit - maximum), the sum of the
/// logits, and the target's logit (0 unless the target is in [first, first + columns)). With the maximum over the ranks
/// as new base, the other three add up to the summary of the row, of which smoothed_loss is the loss.
template <class MemorySpace, class T>
void cross_entropy_summary(Rank2<T const, MemorySpace> logits, Rank1<int const, MemorySpace> targets,
                           Rank2<T, MemorySpace> summaries, std::int64_t first) {
  for_each_row<MemorySpace>("gshard::cross_entropy_summary", extent(logits, 0),
                            CrossEntropySummaryKernel<T, MemorySpace>{logits, targets, summaries, first});
}
GSHARD_COMPILED_WIDE(cross_entropy_summary)

/// The largest logits (rows) of summaries.
template <class MemorySpace, class T>
void largest_logits(Rank2<T const, MemorySpace> summaries, Rank1<T, MemorySpace> largest) {
  launch<MemorySpace>("gshard::largest_logits", extent(summaries, 0),
                      LargestLogitKernel<T, MemorySpace>{summaries, largest});
}
GSHARD_COMPILED_WIDE(largest_logits)

/// What this rank adds to the sums (rows, 3) of powers, of logits and of the target's logit, on the base of the maxima
/// of all ranks.
template <class MemorySpace, class T>
void rebase_summaries(Rank2<T const, MemorySpace> summaries, Rank1<T const, MemorySpace> largest,
                      Rank2<T, MemorySpace> sums) {
  launch<MemorySpace>("gshard::rebase_summaries", extent(summaries, 0),
                      RebaseSummaryKernel<T, MemorySpace>{summaries, largest, sums});
}
GSHARD_COMPILED_WIDE(rebase_summaries)

/// cross_entropy from the maxima and sums of whole rows.
template <class MemorySpace, class T>
void loss_of_summaries(Rank1<T const, MemorySpace> largest, Rank2<T const, MemorySpace> sums,
                       Rank1<int const, MemorySpace> targets, Rank1<T, MemorySpace> losses,
                       Rank1<T, MemorySpace> log_sums, LossNumbers<T> const& numbers) {
  launch<MemorySpace>("gshard::loss_of_summaries", extent(sums, 0),
                      LossOfSummaryKernel<T, MemorySpace>{largest, sums, targets, losses, log_sums, numbers});
}
GSHARD_COMPILED_WIDE(loss_of_summaries)

/// The gradient of scale * upstream * sum of the losses: d logits = scale * upstream * (softmax(logits) * (1 + 2 z_loss
/// log_sum) - q), zeros for padding. `scale` is typically 1 / tokens; `upstream` a scalar in the memory space, 1 where
/// it is an empty view. `gradient` may be `logits`. Where the vocabulary is split, `logits` are the columns [first,
/// first + columns) of `vocabulary`; 0 stands for all columns.
template <class MemorySpace, class T>
void cross_entropy_backward(Rank2<T const, MemorySpace> logits, Rank1<int const, MemorySpace> targets,
                            Rank1<T const, MemorySpace> log_sums, Rank2<T, MemorySpace> gradient, T scale = T(1),
                            T smoothing = T(0), Rank0<T const, MemorySpace> upstream = {}, std::int64_t first = 0,
                            std::int64_t vocabulary = 0, T z_loss = T(0)) {
  if (vocabulary == 0) vocabulary = extent(logits, 1);
  CrossEntropyBackwardKernel<T, MemorySpace> const kernel{
      logits, targets, log_sums, gradient, upstream, scale, {smoothing, z_loss, first, vocabulary}};
  for_each_row<MemorySpace>("gshard::cross_entropy_backward", extent(logits, 0), kernel);
}
GSHARD_COMPILED_WIDE(cross_entropy_backward)

}  // namespace gshard::nn::detail
