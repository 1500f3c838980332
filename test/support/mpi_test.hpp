// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <gshard/core/runtime.hpp>

/// What every test of this project may use. A case runs on all ranks alike; each rank's failing assertions are printed
/// with its number, and a case fails everywhere when it fails anywhere. A case in which no rank asserts anything fails,
/// and so does a skipped one: where a test needs a certain number of ranks, name it with RANKS in test/CMakeLists.txt.
namespace gshard::test {

/// The runtime that the test program started: MPI and Kokkos are up.
Runtime& runtime();

/// The number of ranks of this run, and the rank of this process among them.
int ranks();
int rank();

}  // namespace gshard::test
