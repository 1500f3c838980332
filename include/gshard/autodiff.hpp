// SPDX-License-Identifier: Apache-2.0
#pragma once

// Gradients, as planned operations.

#include <gshard/autodiff/accumulate.hpp>
#include <gshard/autodiff/cumulative_sum.hpp>
#include <gshard/autodiff/einsum.hpp>
#include <gshard/autodiff/map.hpp>
#include <gshard/autodiff/rearrange.hpp>
#include <gshard/autodiff/recompute.hpp>
#include <gshard/autodiff/recorded.hpp>
#include <gshard/autodiff/reduce.hpp>
#include <gshard/autodiff/reshape.hpp>
#include <gshard/autodiff/reshard.hpp>
#include <gshard/autodiff/softmax.hpp>
#include <gshard/autodiff/sort.hpp>
#include <gshard/autodiff/take.hpp>
#include <gshard/autodiff/tape.hpp>
#include <gshard/autodiff/var.hpp>
