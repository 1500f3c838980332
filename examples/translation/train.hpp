// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "beam.hpp"
#include "model.hpp"
#include "prepare.hpp"

namespace translation {

struct TrainingOptions {
  std::int64_t steps = 3400;
  double learning_rate = 3e-3;
  std::int64_t warmup = 300;
  double smoothing = 0.1;        ///< of the target distribution
  double balance_weight = 0.01;  ///< of the gates' balance loss, in its E^2 scale
  BatchOptions batches{.tokens_per_batch = 768};
  std::uint64_t seed = 1;
};

/// What one step reports.
struct Step {
  std::int64_t number;
  double loss;     ///< smoothed cross entropy per target token
  double balance;  ///< balance loss of the gates: 1 when even
  double gradient_norm;
  double target_tokens;
};

/// Trains `model` and calls `report` after each step, on every rank.
/// @throws gshard::NonFiniteError naming the step where the loss or the norm of the gradients is not finite.
void train(Grid const& grid, Model& model, std::vector<TokenPair> const& pairs, TrainingOptions const& options,
           std::function<void(Step const&)> const& report);

/// Translations by beam search, in the order of `pairs`, the same on every rank. A translation is at most about twice
/// as long as its source.
std::vector<std::vector<std::int32_t>> translate(Grid const& grid, Model& model, std::vector<TokenPair> const& pairs,
                                                 BatchOptions const& batches, BeamOptions const& beam = {});

}  // namespace translation
