// SPDX-License-Identifier: Apache-2.0
#include "einsum_combinations.hpp"
#include "mpi_test.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

using Cube = Mesh<Axis<"x">, Axis<"y">, Axis<"z">>;

EinsumTable<Cube, "ab,bc->ac", Specs<Spec<"x", "y,z">, Spec<"x,y,z", _>, Spec<_, "z,x">, Spec<"z", "y">>,
            Specs<Spec<"y,z", _>, Spec<_, "x">, Spec<"z,x", "y">, Spec<_, _>>,
            Specs<Spec<"x", "y">, Spec<_, "z,y,x">, Spec<"y,z", "x">>> const products;
EinsumTable<Cube, "nab,nbc->nac", Specs<Spec<"x", "y", "z">, Spec<"x,y", _, "z">>,
            Specs<Spec<"x", "z", "y">, Spec<_, "z", "y,x">>,
            Specs<Spec<"x", "y", _>, Spec<"z", "y", "x">, Spec<_, _, _>>> const batches;

}  // namespace

TEST_CASE("on meshes of three axes: matrix products and batches") {
  Cube const mesh(runtime(), ranks() == 8 ? std::array{2, 2, 2} : std::array{1, ranks(), 1});
  products.check_on(mesh);
  batches.check_on(mesh);
}

TEST_CASE("the number of combinations") {
  MESSAGE(combinations_in_tables(), " combinations of subscripts, specs of the operands, and a spec of the result");
  CHECK(combinations_in_tables() == 572);
}
