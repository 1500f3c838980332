// SPDX-License-Identifier: Apache-2.0
#pragma once

// Sums of products with their communication planned by types.

#include <gshard/einsum/chain.hpp>
#include <gshard/einsum/chain_plan.hpp>
#include <gshard/einsum/einsum.hpp>
#include <gshard/einsum/explain.hpp>
#include <gshard/einsum/fixed_extents.hpp>
#include <gshard/einsum/order.hpp>
#include <gshard/einsum/plan.hpp>
#include <gshard/einsum/planner.hpp>
#include <gshard/einsum/print.hpp>
#include <gshard/einsum/subscripts.hpp>
