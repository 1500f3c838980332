// SPDX-License-Identifier: Apache-2.0
// Kernels run on execution spaces; a memory space is none.
// expect-error: use_execution_space takes an instance of a Kokkos execution space
#include <gshard/core/runtime.hpp>

using namespace gshard;

#ifdef GSHARD_EXPECT_ERROR
void choose(Runtime& runtime) { runtime.use_execution_space(Kokkos::DefaultExecutionSpace::memory_space()); }
#else
void choose(Runtime& runtime) { runtime.use_execution_space(Kokkos::DefaultExecutionSpace()); }
#endif
