// SPDX-License-Identifier: Apache-2.0
// What the C++ blocks of README.md and docs/*.md find around them. Declared, not defined: the blocks are compiled, not
// run.
#pragma once

#include <cstdint>

#include <gshard/gshard.hpp>

using namespace gshard;

using Grid = Mesh<Axis<"data">, Axis<"expert">, Axis<"model">>;
template <AxisNames... Entries>
using T = ShardedTensor<Grid, Spec<Entries...>>;

extern Grid const grid;
extern Runtime runtime;

// Groups, positions, experts, capacity, d_model, d_ff.
extern std::int64_t const G, S, E, C, M, H;

extern T<"data", _> x;
extern T<_, _> weights;
