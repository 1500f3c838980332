// SPDX-License-Identifier: Apache-2.0
// Cases that go wrong on purpose, each run by itself by a test that expects just that.
#include "mpi_test.hpp"

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
