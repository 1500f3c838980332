// SPDX-License-Identifier: Apache-2.0
#pragma once

// Layers, the Mixture-of-Experts layer among them.

#include <gshard/nn/attention.hpp>
#include <gshard/nn/attention_cache.hpp>
#include <gshard/nn/attention_weights.hpp>
#include <gshard/nn/cross_entropy.hpp>
#include <gshard/nn/dot_product_attention.hpp>
#include <gshard/nn/dropout.hpp>
#include <gshard/nn/embedding.hpp>
#include <gshard/nn/feed_forward.hpp>
#include <gshard/nn/gating/gates.hpp>
#include <gshard/nn/initialize.hpp>
#include <gshard/nn/layer_norm.hpp>
#include <gshard/nn/moe/experts.hpp>
#include <gshard/nn/moe/gate.hpp>
#include <gshard/nn/moe/gate_statistics.hpp>
#include <gshard/nn/moe/gate_z_loss.hpp>
#include <gshard/nn/moe/layer.hpp>
#include <gshard/nn/moe/token_groups.hpp>
#include <gshard/nn/parallelism.hpp>
#include <gshard/nn/random_stream.hpp>
#include <gshard/nn/rotary_embedding.hpp>
#include <gshard/nn/rms_norm.hpp>
#include <gshard/nn/transformer/blocks.hpp>
#include <gshard/nn/transformer/decoding.hpp>
#include <gshard/nn/transformer/options.hpp>
#include <gshard/nn/transformer/transformer.hpp>
#include <gshard/nn/zero_padding.hpp>
