// SPDX-License-Identifier: Apache-2.0
#pragma once

// Halos, convolutions and pooling over split space, and their gradients.

#include <gshard/spatial/convolution.hpp>
#include <gshard/spatial/convolution_gradient.hpp>
#include <gshard/spatial/halo.hpp>
#include <gshard/spatial/kernels/window.hpp>
#include <gshard/spatial/pool.hpp>
