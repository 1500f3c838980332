# SPDX-License-Identifier: Apache-2.0
# What only those who work on gshard itself want: warnings, plain C++20, and a compiler cache. None of it reaches the exported target.
include_guard()

set(CMAKE_CXX_EXTENSIONS OFF)

find_program(GSHARD_CCACHE ccache)
mark_as_advanced(GSHARD_CCACHE)
if(GSHARD_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${GSHARD_CCACHE}")
endif()
