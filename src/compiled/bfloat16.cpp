// SPDX-License-Identifier: Apache-2.0
#define GSHARD_COMPILED_ELEMENT ::gshard::BFloat16
#define GSHARD_COMPILED_ELEMENT_IS_FLOAT
#include <gshard/gshard.hpp>
