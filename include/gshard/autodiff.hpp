// SPDX-License-Identifier: Apache-2.0
#pragma once

// The tape, operations with a gradient, and recomputation.

#include <gshard/autodiff/accumulate.hpp>
#include <gshard/autodiff/differentiable.hpp>
#include <gshard/autodiff/map.hpp>
#include <gshard/autodiff/parameter.hpp>
#include <gshard/autodiff/recipe.hpp>
#include <gshard/autodiff/recompute.hpp>
#include <gshard/autodiff/recorded.hpp>
#include <gshard/autodiff/reshard.hpp>
#include <gshard/autodiff/tape.hpp>
#include <gshard/autodiff/var.hpp>
