// SPDX-License-Identifier: Apache-2.0
// Wrong inputs of tensor/: each call is refused by one exception on all ranks.
#include <vector>

#include <gshard/tensor.hpp>

#include "dense_reference.hpp"
#include "wrong_inputs.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

using Matrix = ShardedTensor<TwoAxes, Spec<"x", "y">>;

TEST_CASE("tensors from elements that are too few or too many") {
  on_every_mesh([](TwoAxes const& mesh) {
    expect_refusal<ExtentError>(
        "from_vector: other number of elements", [&] { from_vector<Matrix>(mesh, {3, 5}, std::vector<float>(14)); },
        "14 elements", "(3, 5)");
  });
}

}  // namespace
