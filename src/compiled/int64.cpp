// SPDX-License-Identifier: Apache-2.0
#define GSHARD_COMPILED_ELEMENT std::int64_t
#include <gshard/gshard.hpp>
