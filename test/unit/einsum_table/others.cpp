// SPDX-License-Identifier: Apache-2.0
#include "einsum_combinations.hpp"
#include "mpi_test.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

EinsumTable<TwoAxes, "ab,b->a", Specs<Spec<_, _>, Spec<"x", _>, Spec<"x", "y">, Spec<_, _, partial("x")>>,
            Specs<Spec<_>, Spec<"y">, Spec<"x,y">>, Specs<Spec<_>, Spec<"x">, Spec<_, partial("y")>>> const vectors;
EinsumTable<TwoAxes, "gsec,gsm->egcm", Specs<Spec<"x,y", _, _, _>, Spec<"x", _, "y", _>, Spec<"y", "x", _, _>>,
            Specs<Spec<"x,y", _, _>, Spec<"x", _, _>, Spec<"y", _, "x">>,
            Specs<Spec<"y", "x", _, _>, Spec<"x,y", _, _, _>, Spec<_, "x", _, "y">>> const dispatch;
EinsumTable<TwoAxes, "egcm,emh->egch", Specs<Spec<"y", "x", _, _>, Spec<"x,y", _, _, _>, Spec<_, "x", _, "y">>,
            Specs<Spec<"y", _, _>, Spec<"x,y", _, _>, Spec<"y", _, "x">>,
            Specs<Spec<"y", "x", _, _>, Spec<"x,y", _, _, _>, Spec<_, "x", _, "y">>> const experts;
EinsumTable<TwoAxes, "abc->ca",
            Specs<Spec<_, _, _>, Spec<"x", _, _>, Spec<_, "x", _>, Spec<"x", "y", _>, Spec<"y", _, "x">,
                  Spec<"y", _, _, partial("x")>>,
            Specs<Spec<_, _>, Spec<"x", _>, Spec<"y", "x">, Spec<_, "x,y">, Spec<"x", _, partial("y")>>> const sums;
EinsumTable<TwoAxes, "aab->ba", Specs<Spec<_, _, _>, Spec<"x", _, _>, Spec<"x", "y", _>, Spec<_, _, "x">>,
            Specs<Spec<_, _>, Spec<"x", _>, Spec<"y", "x">>> const diagonals;

}  // namespace

TEST_CASE("on meshes of two axes: vectors, experts, sums, diagonals") {
  for (auto const& shape : two_axis_shapes()) {
    TwoAxes const mesh(runtime(), shape);
    vectors.check_on(mesh);
    dispatch.check_on(mesh);
    experts.check_on(mesh);
    sums.check_on(mesh);
    diagonals.check_on(mesh);
  }
}
