// SPDX-License-Identifier: Apache-2.0
#include "einsum_combinations.hpp"
#include "mpi_test.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

EinsumTable<TwoAxes, "ab,bc->ac",
            Specs<Spec<_, _>, Spec<"x", _>, Spec<_, "x">, Spec<"x", "y">, Spec<"y", _>, Spec<"x,y", _>>,
            Specs<Spec<_, _>, Spec<"x", _>, Spec<_, "y">, Spec<"y", "x">, Spec<"x,y", _>, Spec<_, "y,x">>,
            Specs<Spec<_, _>, Spec<"x", _>, Spec<"y", "x">, Spec<_, "x,y">>> const products;

}  // namespace

TEST_CASE("on meshes of two axes: matrix products") {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    products.check_on(mesh);
  }
}
