// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Marks a function that kernels may call; expands to nothing without a device compiler. Private to gshard.
#if defined(__CUDACC__) || defined(__HIPCC__)
#define GSHARD_FUNCTION __host__ __device__
#else
#define GSHARD_FUNCTION
#endif
