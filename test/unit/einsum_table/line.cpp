// SPDX-License-Identifier: Apache-2.0
#include "einsum_combinations.hpp"
#include "mpi_test.hpp"

namespace {

using namespace gshard;
using namespace gshard::test;

using Line = Mesh<Axis<"x">>;
using Matrix = Specs<Spec<_, _>, Spec<"x", _>, Spec<_, "x">, Spec<_, _, partial("x")>>;

EinsumTable<Line, "ab,bc->ac", Matrix, Matrix, Matrix> const products;
EinsumTable<Line, "ba,bc->ca", Specs<Spec<"x", _>, Spec<_, "x">>, Matrix,
            Specs<Spec<_, _>, Spec<"x", _>, Spec<_, "x">>> const transposed;

}  // namespace

TEST_CASE("on a mesh of one axis: matrix products") {
  Line const mesh(runtime(), {ranks()});
  products.check_on(mesh);
  transposed.check_on(mesh);
}
