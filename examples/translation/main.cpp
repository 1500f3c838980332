// SPDX-License-Identifier: Apache-2.0
// Learns to translate many languages into English with a Mixture-of-Experts Transformer, and says how well: BLEU by
// language on sentences it never saw.
//   mpirun -n 2 translation --mesh data=1,expert=2
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>

#include <gshard/gshard.hpp>

#include "model_memory.hpp"
#include "options.hpp"
#include "prepare.hpp"
#include "train.hpp"

namespace {

using namespace translation;

/// Writes the loss of every step to a file, and a line to the terminal every five seconds: launchers pass on whole
/// lines.
class Progress {
 public:
  /// Opens the file, so that a path that cannot be written is found before any work.
  Progress(bool shows, std::int64_t steps, std::string const& file) : shows_(shows), steps_(steps) {
    if (!shows || file.empty()) return;
    curve_.open(file);
    if (!curve_) throw gshard::Error("cannot write the loss curve to '" + file + "'; is the folder there?");
    curve_ << "step,seconds,loss,balance_loss,gradient_norm,target_tokens\n";
  }

  /// Starts the clock.
  void begin() { start_ = std::chrono::steady_clock::now(); }

  void operator()(Step const& step) {
    if (!shows_) return;
    double const now = seconds();
    tokens_ += step.target_tokens;
    smoothed_ = step.number == 1 ? step.loss : 0.95 * smoothed_ + 0.05 * step.loss;
    if (curve_.is_open())
      curve_ << step.number << ',' << now << ',' << step.loss << ',' << step.balance << ',' << step.gradient_norm << ','
             << step.target_tokens << '\n';
    if (step.number == steps_) curve_.flush();
    if (!curve_) throw gshard::Error("cannot write to the loss curve any more; is the disk full?");
    if (step.number < steps_ && now - shown_ < 5) return;
    shown_ = now;
    std::printf("step %5lld/%lld  loss %.3f  balance %.2f  %6.0f target tokens/s  %4.0f s\n",
                static_cast<long long>(step.number), static_cast<long long>(steps_), smoothed_, step.balance,
                tokens_ / now, now);
    std::fflush(stdout);
  }

 private:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

  bool shows_;
  std::int64_t steps_;
  std::ofstream curve_;
  std::chrono::steady_clock::time_point start_;
  double shown_ = 0;
  double tokens_ = 0;
  double smoothed_ = 0;
};

std::vector<std::string> texts(Tokenizer const& tokenizer, std::vector<std::vector<std::int32_t>> const& sentences) {
  std::vector<std::string> result;
  for (auto const& sentence : sentences) result.push_back(tokenizer.decode(sentence));
  return result;
}

void translate_corpus(gshard::Runtime& runtime, Options options) {
  bool const shows = runtime.is_root();
  auto const start = std::chrono::steady_clock::now();
  auto seconds = [start] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  auto const sizes = options.mesh.empty() ? std::array{1, runtime.size()} : gshard::parse_sizes<Grid>(options.mesh);
  Grid const grid(runtime, sizes);
  Progress progress(shows, options.training.steps, options.loss_curve);

  PreparedData const data = prepare(options.corpus, options.vocabulary);
  options.model.vocabulary = data.tokenizer.vocabulary_size();
  for (auto const* section : {&data.train, &data.dev, &data.test})
    for (TokenPair const& pair : section->tokens)
      options.model.max_length = std::max<std::int64_t>(
          options.model.max_length, static_cast<std::int64_t>(std::max(pair.source.size(), pair.target.size())));
  // Padding rounds lengths up.
  options.model.max_length += options.training.batches.length_multiple;
  ModelMemory const memory = model_memory(options.model, sizes, runtime.rank());
  if (shows) {
    print_summary(std::cout, data);
    std::cout << "mesh " << grid.text() << "; " << static_cast<std::int64_t>(memory.parameters) << " parameters\n"
              << std::flush;
  }
  require_memory(runtime, memory);
  Model model(grid, options.model, options.training.seed);

  progress.begin();
  train(grid, model, data.train.tokens, options.training, std::ref(progress));

  double const trained = seconds();
  auto const outputs =
      texts(data.tokenizer, translate(grid, model, data.test.tokens, options.training.batches, options.beam));
  if (!shows) return;
  Baselines const simple = baselines(data);
  std::cout << "\nBLEU on " << data.test.pairs.size() << " held-out pairs\n"
            << score(data.test.pairs, outputs) << "\nBaselines (BLEU of the whole): copying the source "
            << simple.copied_source.all.bleu() << ", the most frequent English sentence "
            << simple.most_frequent.all.bleu() << "\nSeconds: " << trained << " until trained, " << seconds()
            << " in all\n";
}

}  // namespace

int main(int argc, char** argv) {
  return gshard::run(argc, argv, [&](gshard::Runtime& runtime) {
    Options const options = read_options(argc, argv);
    if (options.help.empty()) translate_corpus(runtime, options);
    else if (runtime.is_root()) std::cout << options.help;
  });
}
