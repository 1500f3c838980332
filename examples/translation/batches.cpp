// SPDX-License-Identifier: Apache-2.0
#include "batches.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <random>
#include <tuple>
#include <utility>

#include "data_error.hpp"
#include "tokenizer.hpp"

namespace translation {
namespace {

/// Padded lengths: target first, which is what batches are sorted by.
using Lengths = std::pair<std::int64_t, std::int64_t>;

Lengths padded_lengths(TokenPair const& pair, std::int64_t multiple) {
  auto const padded = [multiple](auto const& ids) { return (std::ssize(ids) + multiple - 1) / multiple * multiple; };
  return {padded(pair.target), padded(pair.source)};
}

/// Lengths that hold each of the chosen pairs.
Lengths longest(std::span<TokenPair const> pairs, std::span<std::int64_t const> chosen, std::int64_t multiple) {
  Lengths result{1, 1};
  for (auto const i : chosen) {
    auto const [target, source] = padded_lengths(pairs[static_cast<std::size_t>(i)], multiple);
    result = {std::max(result.first, target), std::max(result.second, source)};
  }
  return result;
}

/// N for these lengths: no more than all pairs need.
std::int64_t sentences_per_group(Lengths lengths, std::size_t pair_count, BatchOptions const& options) {
  std::int64_t const longest = std::max(lengths.first, (lengths.second + 1) / 2);
  std::int64_t const needed = (static_cast<std::int64_t>(pair_count) + options.groups - 1) / options.groups;
  return std::clamp<std::int64_t>(options.tokens_per_batch / options.groups / longest, 1,
                                  std::max<std::int64_t>(needed, 1));
}

/// Fisher-Yates by hand: std::shuffle draws differently from one standard library to the next.
template <class T>
void shuffle(std::vector<T>& items, std::mt19937_64& generator) {
  for (std::size_t left = items.size(); left > 1; --left) std::swap(items[left - 1], items[generator() % left]);
}

/// Sentence i goes to group i mod G, so that the places without a sentence are spread over the groups.
Batch lay_out(std::span<TokenPair const> pairs, std::span<std::int64_t const> chosen, Lengths lengths,
              BatchOptions const& options) {
  Batch batch;
  batch.groups = options.groups;
  batch.sentences = sentences_per_group(lengths, pairs.size(), options);
  std::tie(batch.target_length, batch.source_length) = lengths;
  auto const places = static_cast<std::size_t>(batch.groups * batch.sentences);
  batch.source.assign(places * static_cast<std::size_t>(batch.source_length), pad_id);
  batch.decoder_input.assign(places * static_cast<std::size_t>(batch.target_length), pad_id);
  batch.target = batch.decoder_input;
  batch.source_lengths.assign(places, 0);
  batch.target_lengths.assign(places, 0);
  batch.pairs.assign(places, -1);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    auto const& [source, target] = pairs[static_cast<std::size_t>(chosen[i])];
    auto const groups = static_cast<std::size_t>(batch.groups);
    std::size_t const place = i % groups * static_cast<std::size_t>(batch.sentences) + i / groups;
    std::ranges::copy(source, batch.source.begin() + static_cast<std::ptrdiff_t>(place) * batch.source_length);
    auto const row = static_cast<std::ptrdiff_t>(place) * batch.target_length;
    std::ranges::copy(target, batch.target.begin() + row);
    batch.decoder_input[static_cast<std::size_t>(row)] = begin_id;
    std::copy(target.begin(), target.end() - 1, batch.decoder_input.begin() + row + 1);
    batch.source_lengths[place] = static_cast<std::int32_t>(source.size());
    batch.target_lengths[place] = static_cast<std::int32_t>(target.size());
    batch.pairs[place] = chosen[i];
    batch.target_tokens += static_cast<std::int64_t>(target.size());
  }
  return batch;
}

std::vector<Batch> make_batches(std::span<TokenPair const> pairs, BatchOptions const& options,
                                std::function<void(std::vector<std::int64_t>&)> const& reorder) {
  if (options.groups < 1 || options.tokens_per_batch < 1 || options.length_multiple < 1) {
    throw DataError(gshard::detail::concat("batches: groups ", options.groups, ", tokens ", options.tokens_per_batch,
                                           ", length multiple ", options.length_multiple, ": all must be positive"));
  }
  // Sources go up with one target length and down with the next, so that what moves on to the next meets sources of its
  // own length.
  std::map<Lengths, std::vector<std::int64_t>> alike;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (pairs[i].source.empty() || pairs[i].target.empty())
      throw DataError(gshard::detail::concat("batches: pair ", i, " has no tokens"));
    auto const [target, source] = padded_lengths(pairs[i], options.length_multiple);
    bool const down = target / options.length_multiple % 2 == 0;
    alike[{target, down ? -source : source}].push_back(static_cast<std::int64_t>(i));
  }

  std::vector<Batch> batches;
  std::vector<std::int64_t> waiting;
  for (auto& [order, members] : alike) {
    reorder(members);
    waiting.insert(waiting.end(), members.begin(), members.end());
    for (;;) {
      Lengths const needed = longest(pairs, waiting, options.length_multiple);
      auto const full = static_cast<std::size_t>(options.groups * sentences_per_group(needed, pairs.size(), options));
      if (waiting.size() < full) break;
      batches.push_back(lay_out(pairs, std::span(waiting).first(full), needed, options));
      waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(full));
    }
  }
  if (!waiting.empty())
    batches.push_back(lay_out(pairs, waiting, longest(pairs, waiting, options.length_multiple), options));
  return batches;
}

}  // namespace

std::vector<Batch> training_batches(std::span<TokenPair const> pairs, BatchOptions const& options,
                                    std::uint64_t epoch) {
  std::seed_seq seeds{static_cast<std::uint32_t>(options.seed), static_cast<std::uint32_t>(options.seed >> 32),
                      static_cast<std::uint32_t>(epoch), static_cast<std::uint32_t>(epoch >> 32)};
  std::mt19937_64 generator(seeds);
  auto batches = make_batches(pairs, options, [&generator](auto& members) { shuffle(members, generator); });
  shuffle(batches, generator);
  return batches;
}

std::vector<Batch> evaluation_batches(std::span<TokenPair const> pairs, BatchOptions const& options) {
  return make_batches(pairs, options, [](auto&) {});
}

}  // namespace translation
