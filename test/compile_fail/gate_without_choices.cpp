// SPDX-License-Identifier: Apache-2.0
// A gate that chooses no expert.
// expect-error: a gate makes at least one choice for each token
#include <gshard/nn/gating/gates.hpp>

using namespace gshard;

#ifdef GSHARD_EXPECT_ERROR
int choices() { return nn::TopKGate<0>::choices; }
#else
int choices() { return nn::TopKGate<1>::choices; }
#endif
