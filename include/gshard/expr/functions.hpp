// SPDX-License-Identifier: Apache-2.0
#pragma once

// All pointwise functions of the library.

#include <gshard/expr/activations.hpp>
#include <gshard/expr/arithmetic.hpp>
#include <gshard/expr/cast.hpp>
#include <gshard/expr/comparisons.hpp>
#include <gshard/expr/elementary.hpp>
