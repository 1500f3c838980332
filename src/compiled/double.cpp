// SPDX-License-Identifier: Apache-2.0
#define GSHARD_COMPILED_ELEMENT double
#define GSHARD_COMPILED_ELEMENT_IS_FLOAT
#define GSHARD_COMPILED_ELEMENT_IS_WIDE
#include <gshard/gshard.hpp>
