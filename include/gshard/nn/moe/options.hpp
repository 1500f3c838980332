// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>

#include <gshard/core/options.hpp>
#include <gshard/nn/moe/gate.hpp>

namespace gshard::nn {

/// The shape of a mixture of experts, by the paper's letters.
struct MixtureOptions {
  std::int64_t experts;  ///< E
  std::int64_t model;    ///< M
  std::int64_t hidden;   ///< H
  GateOptions gate{};
  std::int64_t shared_experts = 0;  ///< experts that see every token, beside those that the gate chooses

  /// Returns these options. Throws OptionError, naming the option, unless experts, model and hidden are 1 or more,
  /// shared_experts is 0 or more and times hidden fits 63 bits, and those of the gate are allowed.
  MixtureOptions const& check() const {
    gshard::detail::require_at_least("experts", experts, 1);
    gshard::detail::require_at_least("model", model, 1);
    gshard::detail::require_at_least("hidden", hidden, 1);
    gshard::detail::require_at_least("shared_experts", shared_experts, 0);
    gshard::detail::require_option(shared_experts <= std::numeric_limits<std::int64_t>::max() / hidden,
                                   "shared_experts", shared_experts, "a number whose product with hidden fits 63 bits");
    gate.check();
    return *this;
  }
};

}  // namespace gshard::nn
