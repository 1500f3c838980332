// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace translation {

/// A pair as ids: both sides end with the end mark, and neither says which language it is.
struct TokenPair {
  std::vector<std::int32_t> source;
  std::vector<std::int32_t> target;
};

/// G groups of N sentences each, every sentence padded to the same length: Ls for sources, Lt for targets. Row-major,
/// padding 0.
struct Batch {
  std::int64_t groups = 0;         ///< G
  std::int64_t sentences = 0;      ///< N, a group
  std::int64_t source_length = 0;  ///< Ls
  std::int64_t target_length = 0;  ///< Lt

  std::vector<std::int32_t> source;         ///< (G, N*Ls)
  std::vector<std::int32_t> decoder_input;  ///< (G, N*Lt): begin mark, then the target without its last token
  std::vector<std::int32_t> target;         ///< (G, N*Lt)

  std::vector<std::int32_t> source_lengths;  ///< (G, N): tokens before the padding; 0 for a place without a sentence
  std::vector<std::int32_t> target_lengths;  ///< (G, N)
  std::vector<std::int64_t> pairs;           ///< (G, N): index of the pair that stands there; -1 for none

  std::int64_t target_tokens = 0;  ///< without padding: what a mean loss divides by
};

/// How pairs are laid into batches. Nothing here may depend on the number of ranks, or the losses would.
struct BatchOptions {
  std::int64_t groups = 2;  ///< G, a multiple of the ranks that share the groups
  /// G*N*Lt at most (and G*N*Ls at most twice that), but one sentence a group at least, and no more than there are
  std::int64_t tokens_per_batch = 2048;
  std::int64_t length_multiple = 1;  ///< lengths are rounded up to it: fewer shapes, more padding
  std::uint64_t seed = 1;
};

/// The batches of one epoch: pairs of like lengths together, in an order that depends on (seed, epoch) alone. Every
/// pair occurs once. What does not fill a batch moves on to the next longer lengths; only the last batch has places
/// without a sentence.
std::vector<Batch> training_batches(std::span<TokenPair const> pairs, BatchOptions const& options, std::uint64_t epoch);

/// The same without shuffling, to decode or to measure.
std::vector<Batch> evaluation_batches(std::span<TokenPair const> pairs, BatchOptions const& options);

}  // namespace translation
