// SPDX-License-Identifier: Apache-2.0
#pragma once

// Optimizers and learning rates.

#include <gshard/optim/adamw.hpp>
#include <gshard/optim/schedule.hpp>
