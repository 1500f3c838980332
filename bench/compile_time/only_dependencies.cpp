// SPDX-License-Identifier: Apache-2.0
// What a program costs to compile before it uses gshard at all.
#include <Kokkos_Core.hpp>
#include <mpi.h>

int main() {}
