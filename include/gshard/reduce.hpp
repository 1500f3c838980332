// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reductions over dimensions, split or not.

#include <gshard/reduce/reduction.hpp>
#include <gshard/reduce/total.hpp>
