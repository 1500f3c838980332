// SPDX-License-Identifier: Apache-2.0
#pragma once

// Collectives over the axes of a mesh.

#include <gshard/comm/all_gather.hpp>
#include <gshard/comm/all_reduce.hpp>
#include <gshard/comm/all_reduce_by.hpp>
#include <gshard/comm/all_to_all.hpp>
#include <gshard/comm/permute.hpp>
#include <gshard/comm/reduce_scatter.hpp>
