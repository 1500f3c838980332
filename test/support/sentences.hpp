// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <gshard/tensor/from_vector.hpp>

namespace gshard::test {

/// One language side of a batch, of the type that a Transformer takes: ids (G, N, L) and the words of each sentence (G,
/// N); what is behind them is padding.
template <class Side, class Mesh>
Side sentences_of(Mesh const& mesh, std::int64_t groups, std::vector<int> ids, std::vector<int> const& lengths) {
  std::size_t const places = lengths.empty() ? 1 : ids.size() / lengths.size();
  std::vector<int> positions, real;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    bool const is_word = static_cast<int>(i % places) < lengths[i / places];
    if (!is_word) ids[i] = -1;
    positions.push_back(is_word ? static_cast<int>(i % places) : -1);
    real.push_back(is_word ? 1 : 0);
  }
  auto const tensor = [&](std::vector<int> const& values) {
    return from_vector<typename Side::Integers>(mesh, {groups, static_cast<std::int64_t>(values.size()) / groups},
                                                values);
  };
  return {tensor(ids), tensor(positions), tensor(real), tensor(lengths)};
}

}  // namespace gshard::test
