// SPDX-License-Identifier: Apache-2.0
#pragma once

// Tensors spread over a mesh.

#include <gshard/tensor/describe.hpp>
#include <gshard/tensor/device_assignment.hpp>
#include <gshard/tensor/draw.hpp>
#include <gshard/tensor/draw_svg.hpp>
#include <gshard/tensor/fill.hpp>
#include <gshard/tensor/from_local.hpp>
#include <gshard/tensor/from_vector.hpp>
#include <gshard/tensor/layout.hpp>
#include <gshard/tensor/like.hpp>
#include <gshard/tensor/operands.hpp>
#include <gshard/tensor/shard_range.hpp>
#include <gshard/tensor/sharded_tensor.hpp>
#include <gshard/tensor/spec.hpp>
#include <gshard/tensor/unevaluated.hpp>
