# SPDX-License-Identifier: Apache-2.0
include_guard()

# gshard_usable_headers(<variable>): all headers, as they are included, but those of the matrix library that this build does not use.
function(gshard_usable_headers variable)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/include/*.hpp")
  if(GSHARD_USE_KOKKOS_KERNELS)
    list(FILTER headers EXCLUDE REGEX "_cblas\\.hpp$")
  else()
    list(FILTER headers EXCLUDE REGEX "_kokkos_kernels\\.hpp$")
  endif()
  set(${variable} ${headers} PARENT_SCOPE)
endfunction()
