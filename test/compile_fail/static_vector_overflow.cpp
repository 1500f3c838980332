// SPDX-License-Identifier: Apache-2.0
// A ninth label: no tensor has more than max_rank = 8 dimensions.
// expect-error: list_is_full
#include <gshard/core/static_vector.hpp>

#ifdef GSHARD_EXPECT_ERROR
constexpr gshard::Labels labels{'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'};
#else
constexpr gshard::Labels labels{'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'};
#endif

static_assert(labels.size() == 8);
