// SPDX-License-Identifier: Apache-2.0
#pragma once

// Ranks along named axes.

#include <gshard/mesh/axis.hpp>
#include <gshard/mesh/mesh.hpp>
#include <gshard/mesh/parse_sizes.hpp>
#include <gshard/mesh/rank_order.hpp>
