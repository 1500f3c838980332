// SPDX-License-Identifier: Apache-2.0
#pragma once

// From one spec to another.

#include <gshard/reshard/between_meshes.hpp>
#include <gshard/reshard/explain.hpp>
#include <gshard/reshard/gather.hpp>
#include <gshard/reshard/plan.hpp>
#include <gshard/reshard/reshard.hpp>
