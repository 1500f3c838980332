// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reductions over dimensions, split or not.

#include <gshard/reduce/argmax.hpp>
#include <gshard/reduce/cumulative_sum.hpp>
#include <gshard/reduce/product.hpp>
#include <gshard/reduce/reduction.hpp>
#include <gshard/reduce/softmax.hpp>
#include <gshard/reduce/statistics.hpp>
#include <gshard/reduce/total.hpp>
