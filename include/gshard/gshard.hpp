// SPDX-License-Identifier: Apache-2.0
#pragma once

// All of gshard. Each folder has a header of its own: gshard/einsum.hpp, gshard/nn.hpp and so on.

#include <gshard/autodiff.hpp>
#include <gshard/comm.hpp>
#include <gshard/core.hpp>
#include <gshard/cost.hpp>
#include <gshard/einsum.hpp>
#include <gshard/expr.hpp>
#include <gshard/index.hpp>
#include <gshard/mesh.hpp>
#include <gshard/nn.hpp>
#include <gshard/optim.hpp>
#include <gshard/reduce.hpp>
#include <gshard/reshard.hpp>
#include <gshard/spatial.hpp>
#include <gshard/tensor.hpp>
