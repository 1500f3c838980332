// SPDX-License-Identifier: Apache-2.0
#pragma once

// Elements by index: slices, padding, concatenation and other rearrangements, reshapes, gathers and scatters, sorting.

#include <gshard/index/check_ids.hpp>
#include <gshard/index/concatenate.hpp>
#include <gshard/index/expand_dims.hpp>
#include <gshard/index/reshape.hpp>
#include <gshard/index/slice.hpp>
#include <gshard/index/sort.hpp>
#include <gshard/index/split_dimension.hpp>
#include <gshard/index/take.hpp>
