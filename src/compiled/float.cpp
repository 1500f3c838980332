// SPDX-License-Identifier: Apache-2.0
// One file for each element type: the instances that gshard/core/compiled.hpp describes.
#define GSHARD_COMPILED_ELEMENT float
#define GSHARD_COMPILED_ELEMENT_IS_FLOAT
#define GSHARD_COMPILED_ELEMENT_IS_WIDE
#include <gshard/gshard.hpp>
