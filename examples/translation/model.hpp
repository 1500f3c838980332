// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <gshard/gshard.hpp>

#include "batches.hpp"

namespace translation {

/// Groups of sentences are split over both axes, experts over "expert"; as in the paper, where the same devices hold
/// both.
using Grid = gshard::Mesh<gshard::Axis<"data">, gshard::Axis<"expert">>;
// Sentences::Integers; nvcc can write it out where it meets it here first.
using Integers = gshard::ShardedTensor<Grid, gshard::Spec<"data,expert", gshard::_>, int>;
struct ByExpert : gshard::nn::Parallelism {
  static constexpr gshard::AxisNames tokens = "data,expert", experts = "expert";
};
using Model = gshard::nn::Transformer<Grid, ByExpert>;
using Sentences = Model::Side;

/// Numbers (G, columns) that every rank has, as a tensor.
inline Integers on_grid(Grid const& grid, std::int64_t groups, std::vector<std::int32_t> const& values) {
  return gshard::from_vector<Integers>(grid, {groups, static_cast<std::int64_t>(values.size()) / groups}, values);
}

/// One language side of a batch: ids (G, N * L) and the number of words of each sentence (G, N). What is behind a
/// sentence's words becomes padding.
inline Sentences sentences_on_grid(Grid const& grid, std::int64_t groups, std::vector<std::int32_t> ids,
                                   std::vector<std::int32_t> const& lengths) {
  std::size_t const places = ids.size() / lengths.size();
  std::vector<std::int32_t> positions(ids.size());
  std::vector<std::int32_t> real(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    auto const place = static_cast<std::int32_t>(i % places);
    real[i] = place < lengths[i / places] ? 1 : 0;
    positions[i] = real[i] == 1 ? place : -1;
    if (real[i] == 0) ids[i] = -1;
  }
  return {on_grid(grid, groups, ids), on_grid(grid, groups, positions), on_grid(grid, groups, real),
          on_grid(grid, groups, lengths)};
}

/// A batch as tensors: what the encoder reads, what the decoder reads, and what it should say.
struct BatchOnGrid {
  Sentences source;
  Sentences decoder;
  Integers target;  ///< (G, N * Lt); negative for padding
  double target_tokens;

  BatchOnGrid(Grid const& grid, Batch const& batch)
      : source(sentences_on_grid(grid, batch.groups, batch.source, batch.source_lengths)),
        decoder(sentences_on_grid(grid, batch.groups, batch.decoder_input, batch.target_lengths)),
        target(sentences_on_grid(grid, batch.groups, batch.target, batch.target_lengths).ids),
        target_tokens(static_cast<double>(batch.target_tokens)) {}
};

}  // namespace translation
