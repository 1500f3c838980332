// SPDX-License-Identifier: Apache-2.0
// Cases that go wrong on purpose, each run by itself by a test that expects just that.
#include "mpi_test.hpp"
#include "wrong_inputs.hpp"

using namespace gshard::test;

TEST_CASE("all well") { CHECK(ranks() > rank()); }

TEST_CASE("fails on the last rank") {
  if (rank() == ranks() - 1) {
    CHECK(rank() == 0);
  } else {
    CHECK(rank() >= 0);
  }
}

TEST_CASE("leaves the others waiting") {
  REQUIRE(rank() != 1);
  MPI_Barrier(runtime().communicator());
}

TEST_CASE("asserts nothing") {}

TEST_CASE("a wrong input is refused on some ranks alone") {
  gshard::test::expect_refusal<gshard::StateError>("f: nothing wrong on rank 0", [] {
    if (rank() != 0) throw gshard::StateError("refused");
  });
}

TEST_CASE("a wrong input leaves a rank waiting") {
  gshard::test::expect_refusal<gshard::StateError>("f: waits on rank 0", [] {
    if (rank() != 0) throw gshard::StateError("refused");
    MPI_Barrier(runtime().communicator());
  });
}
