// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include <gshard/core/options.hpp>
#include <gshard/nn/head_size.hpp>
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
  std::int64_t max_length = 128;  ///< places of a sentence
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

namespace detail {

/// Returns the options. Throws OptionError, which names the option, its value and what is allowed. The gate's are
/// checked by its layer.
inline TransformerOptions const& validated(TransformerOptions const& options) {
  using gshard::detail::require_at_least, gshard::detail::require_option, gshard::detail::require_rate;
  // Ids and positions are numbers of type int.
  auto const require_countable = [](std::string_view option, std::int64_t value) {
    require_option(value <= std::numeric_limits<int>::max(), option, value, "at most 2147483647");
  };
  require_at_least("vocabulary", options.vocabulary, 1);
  require_countable("vocabulary", options.vocabulary);
  require_at_least("max_length", options.max_length, 1);
  require_countable("max_length", options.max_length);
  head_size_of(options.model, options.heads, options.head_size);
  require_at_least("hidden", options.hidden, 1);
  require_at_least("encoder_layers", options.encoder_layers, 0);
  require_at_least("decoder_layers", options.decoder_layers, 0);
  require_at_least("experts", options.experts, 1);
  require_at_least("shared_experts", options.shared_experts, 0);
  require_rate("dropout.input", options.dropout.input);
  require_rate("dropout.residual", options.dropout.residual);
  require_rate("dropout.attention", options.dropout.attention);
  return options;
}

}  // namespace detail

}  // namespace gshard::nn
