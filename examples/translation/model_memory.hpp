// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include <gshard/core/runtime.hpp>
#include <gshard/nn/transformer/options.hpp>

namespace translation {

/// What a model holds while it is trained, found without any of it: its parameters are counted on an abstract mesh.
struct ModelMemory {
  double parameters;  ///< of the whole model
  double bytes;       ///< on one rank: parameters, their gradients, and the two moments of AdamW
};

/// Returns the memory of a model on a mesh of these sizes, as `rank` sees it. Communicates nothing.
ModelMemory model_memory(gshard::nn::TransformerOptions const& options, std::array<int, 2> const& sizes, int rank);

/// Throws MemoryError on all ranks where the ranks of one machine need more than its physical memory. Activations come
/// on top of `memory`. Communicates a few numbers over all ranks.
void require_memory(gshard::Runtime const& runtime, ModelMemory const& memory);

}  // namespace translation
