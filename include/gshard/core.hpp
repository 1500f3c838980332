// SPDX-License-Identifier: Apache-2.0
#pragma once

// The start and end of a program, real or abstract, errors, storage and random numbers.

#include <gshard/core/abstract_runtime.hpp>
#include <gshard/core/abstract_space.hpp>
#include <gshard/core/bfloat16.hpp>
#include <gshard/core/error.hpp>
#include <gshard/core/fixed_string.hpp>
#include <gshard/core/launch.hpp>
#include <gshard/core/ledger.hpp>
#include <gshard/core/memory_pool.hpp>
#include <gshard/core/random.hpp>
#include <gshard/core/rows.hpp>
#include <gshard/core/runtime.hpp>
#include <gshard/core/static_vector.hpp>
#include <gshard/core/vector_exp.hpp>
