// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include <gshard/nn/moe/gate.hpp>

namespace gshard::nn {

/// The shape of a mixture of experts, by the paper's letters.
struct MixtureOptions {
  std::int64_t experts;  ///< E
  std::int64_t model;    ///< M
  std::int64_t hidden;   ///< H
  GateOptions gate{};
  std::int64_t shared_experts = 0;  ///< experts that see every token, beside those that the gate chooses
};

}  // namespace gshard::nn
