// SPDX-License-Identifier: Apache-2.0
// Experts that choose as many tokens as there are.
// expect-error: experts that choose have a capacity
#include <gshard/nn/gating/gates.hpp>

using namespace gshard;

#ifdef GSHARD_EXPECT_ERROR
int choices() { return nn::Dropless<nn::ExpertChoiceGate<2>>::choices; }
#else
int choices() { return nn::Dropless<nn::TopKGate<2>>::choices; }
#endif
