// SPDX-License-Identifier: Apache-2.0
#pragma once

// Optimizers and learning rates.

#include <gshard/optim/adafactor.hpp>
#include <gshard/optim/adamw.hpp>
#include <gshard/optim/holding.hpp>
#include <gshard/optim/norm.hpp>
#include <gshard/optim/optimizer.hpp>
#include <gshard/optim/schedule.hpp>
#include <gshard/optim/sgd.hpp>
