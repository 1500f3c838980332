// SPDX-License-Identifier: Apache-2.0
#include "train.hpp"

#include <cmath>

#include <gshard/optim/adamw.hpp>
#include <gshard/optim/schedule.hpp>

namespace translation {

void train(Grid const& grid, Model& model, std::vector<TokenPair> const& pairs, TrainingOptions const& options,
           std::function<void(Step const&)> const& report) {
  using namespace gshard;
  optim::AdamW<> optimizer({.max_norm = 1});
  optim::WarmupThenLinear const rate{options.learning_rate, options.warmup, options.steps + 1};

  std::int64_t number = 0;
  for (std::uint64_t epoch = 0; number < options.steps; ++epoch) {
    for (Batch const& batch : training_batches(pairs, options.batches, epoch)) {
      if (number == options.steps) return;
      ++number;
      BatchOnGrid const data(grid, batch);
      nn::RandomStream const random{options.seed, static_cast<std::uint64_t>(number)};

      Tape tape;
      auto const output = model(tape, data.source, data.decoder, random);
      auto const loss = nn::cross_entropy(output.logits, data.target, data.target_tokens, options.smoothing);
      double const loss_value = to_vector(loss.value())[0];
      if (!std::isfinite(loss_value))
        throw NonFiniteError(detail::concat("step ", number, ": the loss is ", loss_value,
                                            "; choose a lower learning rate or a longer warm-up"));
      tape.backward(loss + output.balance_loss * options.balance_weight);
      double const norm = optimizer.step(model, rate(number));

      report({number, loss_value, to_vector(output.balance_loss.value())[0], norm, data.target_tokens});
    }
  }
}

}  // namespace translation
