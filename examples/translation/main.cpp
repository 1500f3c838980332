// SPDX-License-Identifier: Apache-2.0
// Learns to translate many languages into English with a Mixture-of-Experts Transformer, and says how well: BLEU by
// language on sentences it never saw.
//   mpirun -n 2 translation --mesh data=1,expert=2
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>

#include <CLI/CLI.hpp>

#include <gshard/gshard.hpp>

#include "prepare.hpp"
#include "train.hpp"

namespace {

using namespace translation;

struct Options {
  std::string mesh;
  CorpusOptions corpus;
  std::int64_t vocabulary = 2000;
  gshard::nn::TransformerOptions model;
  TrainingOptions training;
  BeamOptions beam;
  std::string loss_curve;
};

/// As CLI::PositiveNumber, whose own sentence is a range of doubles, and which lets NaN pass.
CLI::Validator const positive(
    [](std::string& given) {
      double number = 0;
      bool const is_above = CLI::detail::lexical_cast(given, number) && number > 0 && std::isfinite(number);
      return is_above ? std::string() : given + " is not a number above 0";
    },
    "POSITIVE");

void add_options(CLI::App& app, Options& options) {
  app.add_option("--mesh", options.mesh,
                 "Sizes of the mesh, as data=1,expert=2 (all ranks on \"expert\" where left out)");
  app.add_option("--corpus", options.corpus.file,
                 "Text file of lines language<TAB>source<TAB>English, in place of message catalogues");
  app.add_option("--catalogues", options.corpus.roots, "Folders to search for message catalogues")
      ->capture_default_str();
  app.add_option("--domain", options.corpus.domain, "Names of the catalogues, as a shell pattern")
      ->capture_default_str();
  app.add_option("--languages", options.corpus.languages,
                 "Source languages (default: de fr es it nl sv pt da, or all of --corpus)")
      ->delimiter(',');
  app.add_option("--vocabulary", options.vocabulary, "Pieces of the shared vocabulary")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--model", options.model.model, "Width of the model, M")->check(positive)->capture_default_str();
  app.add_option("--hidden", options.model.hidden, "Width of the feed-forward layers, H")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--heads", options.model.heads, "Heads of an attention layer")->check(positive)->capture_default_str();
  app.add_option("--encoder-layers", options.model.encoder_layers)->check(positive)->capture_default_str();
  app.add_option("--decoder-layers", options.model.decoder_layers)->check(positive)->capture_default_str();
  app.add_option("--experts", options.model.experts, "Experts in each mixture layer, E")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  app.add_option("--steps", options.training.steps, "Training steps")->check(positive)->capture_default_str();
  app.add_option("--learning-rate", options.training.learning_rate)->check(positive)->capture_default_str();
  app.add_option("--warmup", options.training.warmup, "Steps until the learning rate is reached")
      ->capture_default_str();
  app.add_option("--tokens", options.training.batches.tokens_per_batch, "Target tokens of a batch, padding included")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--groups", options.training.batches.groups,
                 "Groups that a batch is gated in, G: a multiple of the ranks that share them")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--beam", options.beam.hypotheses,
                 "Hypotheses of a sentence that the search for its translation keeps")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--length-exponent", options.beam.exponent,
                 "How much the search makes up for length: 0 for not at all")
      ->capture_default_str();
  app.add_option("--seed", options.training.seed)->capture_default_str();
  app.add_option("--loss-curve", options.loss_curve,
                 "File for the losses: step, seconds, loss, balance loss, gradient norm, target tokens");
}

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
      options.model.longest = std::max<std::int64_t>(
          options.model.longest, static_cast<std::int64_t>(std::max(pair.source.size(), pair.target.size())));
  // Padding rounds lengths up.
  options.model.longest += options.training.batches.length_multiple;
  Model model(grid, options.model, options.training.seed);
  std::int64_t const parameters = model.parameters();
  if (shows) {
    print_summary(std::cout, data);
    std::cout << "mesh " << grid.text() << "; " << parameters << " parameters\n" << std::flush;
  }

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
    Options options;
    CLI::App app("Trains a Mixture-of-Experts Transformer to translate into English, and scores it");
    add_options(app, options);
    try {
      app.parse(argc, argv);
    } catch (CLI::ParseError const& error) {
      return runtime.is_root() ? app.exit(error) : error.get_exit_code();
    }
    translate_corpus(runtime, options);
    return 0;
  });
}
