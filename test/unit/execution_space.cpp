// SPDX-License-Identifier: Apache-2.0
// Kernels run on the execution-space instance that the runtime was given. Seen by the threads that compute elements: an
// instance of Kokkos::OpenMP has threads of its own, and device numbers do not tell it from the default one.
#include <omp.h>

#include <gshard/expr.hpp>
#include <gshard/reduce.hpp>

#include "dense_reference.hpp"
#include "mpi_test.hpp"

using namespace gshard;
using namespace gshard::test;

namespace {

using Line = Mesh<Axis<"x">>;
using Vector = ShardedTensor<Line, Spec<"x">, double>;

/// The number of the thread that computes an element.
struct ThreadNumber {
  double operator()(double) const { return omp_get_thread_num(); }
};

/// The number of elements that thread 1 computes, of two threads or one.
double computed_by_second_thread(Line const& mesh) {
  return sum(eval(map(ThreadNumber{}, filled<Vector>(mesh, {100000}, 1))));
}

}  // namespace

TEST_CASE("kernels run on the instance that the runtime uses, until it uses another one") {
  REQUIRE(Kokkos::OpenMP().concurrency() == 2);
  Line const mesh(runtime(), {ranks()});
  CHECK(computed_by_second_thread(mesh) == 50000);

  runtime().use_execution_space(Kokkos::OpenMP(1));
  CHECK(computed_by_second_thread(mesh) == 0);

  runtime().use_execution_space(Kokkos::OpenMP());
  CHECK(computed_by_second_thread(mesh) == 50000);
}

TEST_CASE("an instance is given up when its runtime ends") {
  {
    Runtime other(MPI_COMM_WORLD);
    other.use_execution_space(Kokkos::OpenMP(1));
    Line const mesh(other, {ranks()});
    CHECK(computed_by_second_thread(mesh) == 0);
  }
  Line const mesh(runtime(), {ranks()});
  CHECK(computed_by_second_thread(mesh) == 50000);
}
