// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

namespace translation {
namespace {

using gshard::detail::concat;

/// Whether all of `given` is a number of type T.
template <class T>
bool reads(std::string_view given, T& number) {
  auto const [end, failure] = std::from_chars(given.data(), given.data() + given.size(), number);
  return failure == std::errc{} && end == given.data() + given.size();
}

CLI::Validator whole_number(std::int64_t least, std::int64_t most) {
  return {[=](std::string& given) {
            std::int64_t number = 0;
            if (reads(given, number) && number >= least && number <= most) return std::string();
            return concat("give a whole number from ", least, " to ", most, ", not ", given);
          },
          ""};
}

CLI::Validator number(char const* wanted, bool (*is_allowed)(double)) {
  return {[=](std::string& given) {
            double value = 0;
            if (reads(given, value) && std::isfinite(value) && is_allowed(value)) return std::string();
            return concat("give a finite number", wanted, ", not ", given);
          },
          ""};
}

CLI::Validator const not_empty{
    [](std::string& given) { return given.empty() ? std::string("give a name, not an empty text") : std::string(); },
    ""};

/// Extents of a model whose products fit into 64 bits.
constexpr std::int64_t max_extent = std::int64_t{1} << 20;

void add_options(CLI::App& app, Options& options) {
  auto const extent = whole_number(1, max_extent), count = whole_number(1, 1'000'000'000);
  // The last of several values, so that read_options can say that there are several.
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--mesh", options.mesh,
                 "Sizes of the mesh, as data=1,expert=2 (all ranks on \"expert\" where left out)")
      ->check(not_empty);
  auto* const corpus =
      app.add_option("--corpus", options.corpus.file,
                     "Text file of lines language<TAB>source<TAB>English in UTF-8, in place of message catalogues")
          ->check(not_empty);
  app.add_option("--catalogues", options.corpus.roots, "Folders to search for message catalogues")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->check(not_empty)
      ->excludes(corpus)
      ->capture_default_str();
  app.add_option("--domain", options.corpus.domain, "Names of the catalogues, as a shell pattern")
      ->check(not_empty)
      ->excludes(corpus)
      ->capture_default_str();
  app.add_option("--languages", options.corpus.languages,
                 "Source languages (default: de fr es it nl sv pt da, or all of --corpus)")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->check(not_empty)
      ->delimiter(',');
  app.add_option("--min-words", options.corpus.words.min, "Sentences with fewer English words are left out")
      ->check(count)
      ->capture_default_str();
  app.add_option("--max-words", options.corpus.words.max,
                 concat("Sentences with more English words are left out, as are those of more than ",
                        max_english_characters, " characters in English or ", max_source_characters, " in the source"))
      ->check(count)
      ->capture_default_str();
  app.add_option("--max-pieces", options.corpus.max_pieces,
                 "Sentences of more pieces of the vocabulary on either side are left out, end mark included")
      ->check(whole_number(2, 1 << 16))
      ->capture_default_str();
  app.add_option("--vocabulary", options.vocabulary, "Pieces of the shared vocabulary")
      ->check(whole_number(1, max_vocabulary_size))
      ->capture_default_str();
  app.add_option("--model", options.model.model, "Width of the model, M")->check(extent)->capture_default_str();
  app.add_option("--hidden", options.model.hidden, "Width of the feed-forward layers, H")
      ->check(extent)
      ->capture_default_str();
  app.add_option("--heads", options.model.heads, "Heads of an attention layer")->check(extent)->capture_default_str();
  app.add_option("--encoder-layers", options.model.encoder_layers)->check(whole_number(1, 1000))->capture_default_str();
  app.add_option("--decoder-layers", options.model.decoder_layers)->check(whole_number(1, 1000))->capture_default_str();
  app.add_option("--experts", options.model.experts, "Experts in each mixture layer, E")
      ->check(whole_number(2, max_extent))
      ->capture_default_str();
  app.add_option("--steps", options.training.steps, "Training steps")->check(count)->capture_default_str();
  app.add_option("--learning-rate", options.training.learning_rate)
      ->check(number(" above 0", [](double value) { return value > 0; }))
      ->capture_default_str();
  app.add_option(
         "--warmup", options.training.warmup,
         "Steps until the learning rate is reached; at most --steps, and that where left out of a short training")
      ->check(whole_number(0, 1'000'000'000))
      ->capture_default_str();
  app.add_option("--tokens", options.training.batches.tokens_per_batch, "Target tokens of a batch, padding included")
      ->check(count)
      ->capture_default_str();
  app.add_option("--groups", options.training.batches.groups,
                 "Groups that a batch is gated in, G: a multiple of the ranks that share them")
      ->check(extent)
      ->capture_default_str();
  app.add_option("--beam", options.beam.hypotheses,
                 "Hypotheses of a sentence that the search for its translation keeps")
      ->check(whole_number(1, 1000))
      ->capture_default_str();
  app.add_option("--length-exponent", options.beam.exponent,
                 "How much the search makes up for length: 0 for not at all")
      ->check(number("", [](double) { return true; }))
      ->capture_default_str();
  app.add_option("--seed", options.training.seed)
      ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()))
      ->capture_default_str();
  app.add_option("--loss-curve", options.loss_curve,
                 "File for the losses: step, seconds, loss, balance loss, gradient norm, target tokens")
      ->check(not_empty);
}

/// The least number of characters to insert, delete or replace that makes one word of the other.
std::size_t edit_distance(std::string_view one, std::string_view other) {
  std::vector<std::size_t> row(other.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < one.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < other.size(); ++j) {
      std::size_t const replaced = diagonal + (one[i] != other[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

std::string unknown_option(CLI::App const& app, std::vector<std::string> const& arguments) {
  auto const found = std::ranges::find_if(arguments, [](auto const& argument) { return argument.starts_with("-"); });
  std::string const argument = found == arguments.end() ? arguments.front() : *found;
  std::string const given = argument.substr(0, argument.find('='));
  std::string nearest;
  std::size_t distance = 4;
  for (CLI::Option const* option : app.get_options()) {
    std::string const name = option->get_name();
    if (auto const edits = edit_distance(given, name); edits < distance) {
      nearest = name;
      distance = edits;
    }
  }
  return given + " is no option; " +
         (nearest.empty() ? std::string("--help lists them") : "is " + nearest + " meant? --help lists them all");
}

/// What the values of several options say together.
void check_together(CLI::App const& app, Options& options) {
  for (CLI::Option const* option : app.get_options())
    if (option->get_multi_option_policy() == CLI::MultiOptionPolicy::TakeLast && option->count() > 1)
      throw gshard::OptionError(concat(option->get_name(), ": given ", option->count(), " times; give it once"));
  auto const& words = options.corpus.words;
  if (words.min > words.max)
    throw gshard::OptionError(concat("--min-words: ", words.min, " is more than the ", words.max,
                                     " of --max-words; no sentence has so many"));
  BatchOptions const& batches = options.training.batches;
  if (batches.groups > batches.tokens_per_batch)
    throw gshard::OptionError(concat("--groups: ", batches.groups, " is more than the ", batches.tokens_per_batch,
                                     " of --tokens; give at most as many"));
  std::int64_t const steps = options.training.steps;
  std::int64_t& warmup = options.training.warmup;
  if (app.count("--warmup") == 0) warmup = std::min(warmup, steps);
  if (warmup > steps)
    throw gshard::OptionError(
        concat("--warmup: ", warmup, " is more than the ", steps, " of --steps; give at most as many"));
}

}  // namespace

Options read_options(int argc, char const* const* argv) {
  Options options;
  CLI::App app("Trains a Mixture-of-Experts Transformer to translate into English, and scores it");
  add_options(app, options);
  try {
    app.parse(argc, argv);
    check_together(app, options);
  } catch (CLI::CallForHelp const&) {
    options.help = app.help();
  } catch (CLI::ExtrasError const&) {
    throw gshard::OptionError(unknown_option(app, app.remaining()));
  } catch (CLI::ArgumentMismatch const& error) {
    std::string const message = error.what();
    throw gshard::OptionError(message.substr(0, message.find(':')) + ": give a value after it");
  } catch (CLI::ParseError const& error) {
    throw gshard::OptionError(error.what());
  }
  return options;
}

}  // namespace translation
