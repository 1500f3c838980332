// SPDX-License-Identifier: Apache-2.0
#pragma once

// Fused pointwise expressions and reductions.

#include <gshard/expr/expression.hpp>
#include <gshard/expr/functions.hpp>
#include <gshard/expr/reduce.hpp>
#include <gshard/expr/update.hpp>
