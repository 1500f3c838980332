// SPDX-License-Identifier: Apache-2.0
#include "einsum_combinations.hpp"
#include "mpi_test.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

EinsumTable<TwoAxes, "nab,nbc->nac", Specs<Spec<_, _, _>, Spec<"x", _, _>, Spec<"x", "y", _>, Spec<_, "x", "y">>,
            Specs<Spec<_, _, _>, Spec<"x", _, _>, Spec<"x", "y", _>, Spec<_, "y", "x">>,
            Specs<Spec<_, _, _>, Spec<"x", _, _>, Spec<"x", "y", _>, Spec<"y", _, "x">>> const batches;
EinsumTable<TwoAxes, "ac,b->abc", Specs<Spec<"x", _>, Spec<"y", "x">, Spec<_, _>>, Specs<Spec<_>, Spec<"x">, Spec<"y">>,
            Specs<Spec<_, _, _>, Spec<"x", "y", _>, Spec<_, _, "x">, Spec<_, "y,x", _>>> const outer;
EinsumTable<TwoAxes, "ab,ab->ba", Specs<Spec<_, _>, Spec<"x", _>, Spec<"x", "y">, Spec<_, "x">>,
            Specs<Spec<_, _>, Spec<"x", _>, Spec<_, "y">, Spec<"y", "x">>,
            Specs<Spec<_, _>, Spec<"x", _>, Spec<"y", "x">>> const elementwise;

}  // namespace

TEST_CASE("on meshes of two axes: batches, outer products, products of elements") {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    batches.check_on(mesh);
    outer.check_on(mesh);
    elementwise.check_on(mesh);
  }
}
