// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include <gshard/nn/moe/experts.hpp>
#include <gshard/nn/moe/gate.hpp>
#include <gshard/nn/rms_norm.hpp>

namespace gshard::nn {

/// The share of elements that are dropped in training.
struct DropoutRates {
  double input = 0;      ///< of embedded words
  double residual = 0;   ///< of what each layer adds
  double attention = 0;  ///< of the weights of attention
};

/// The shape of a translation model.
struct TransformerOptions {
  std::int64_t vocabulary = 0;
  std::int64_t longest = 128;  ///< places of a sentence
  std::int64_t model = 128;
  std::int64_t hidden = 512;  ///< of dense and expert feed-forward layers alike
  std::int64_t heads = 4;
  std::optional<std::int64_t> head_size{};  ///< model / heads unless given
  std::int64_t encoder_layers = 2;
  std::int64_t decoder_layers = 2;
  std::int64_t experts = 4;
  GateOptions gate{};
  std::int64_t shared_experts = 0;  ///< beside those that the gate chooses
  DropoutRates dropout{};
  bool recompute = false;  ///< whether blocks keep their inputs alone, and run again in the backward pass
};

/// What the blocks of a Transformer are made of: derive from it and change what differs.
struct TransformerParts {
  template <class Mesh, class Parallelism, class T, class MemorySpace>
  using Norm = RmsNorm<Mesh, Parallelism, T, MemorySpace>;
  using Gate = Top2Gate;
  template <class Mesh, class Parallelism, class T, class MemorySpace>
  using Experts = ReluExperts<Mesh, Parallelism, T, MemorySpace>;
  /// the logits are products with the table that embeds words; else with one of their own
  static constexpr bool has_tied_output = true;
};

}  // namespace gshard::nn
