// SPDX-License-Identifier: Apache-2.0
#pragma once

// Fused pointwise expressions.

#include <gshard/expr/expression.hpp>
#include <gshard/expr/functions.hpp>
#include <gshard/expr/update.hpp>
