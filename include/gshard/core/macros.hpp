// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Marks what kernels may call; nothing but a host function where no device compiler is at work. Private to gshard.
#if defined(__CUDACC__) || defined(__HIPCC__)
#define GSHARD_FUNCTION __host__ __device__
#else
#define GSHARD_FUNCTION
#endif
