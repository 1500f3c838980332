// SPDX-License-Identifier: Apache-2.0
#pragma once

// Sums of products with their communication planned by types.

#include <gshard/einsum/einsum.hpp>
#include <gshard/einsum/explain.hpp>
#include <gshard/einsum/plan.hpp>
#include <gshard/einsum/subscripts.hpp>
