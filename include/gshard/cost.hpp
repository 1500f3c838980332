// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a program would cost on a machine.

#include <gshard/cost/estimate.hpp>
#include <gshard/cost/machine.hpp>
