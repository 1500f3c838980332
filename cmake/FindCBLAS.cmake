# SPDX-License-Identifier: Apache-2.0
# Finds a BLAS with the C interface (cblas.h) and defines CBLAS::CBLAS. OpenBLAS is preferred: it holds both in one library.
# Take a build of it that shares the threads of Kokkos: the OpenMP one beside Kokkos with OpenMP.
include(FindPackageHandleStandardArgs)

find_path(CBLAS_INCLUDE_DIR cblas.h PATH_SUFFIXES openblas)
find_library(CBLAS_LIBRARY NAMES openblas cblas)
mark_as_advanced(CBLAS_INCLUDE_DIR CBLAS_LIBRARY)

find_package_handle_standard_args(CBLAS
  REQUIRED_VARS CBLAS_LIBRARY CBLAS_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "Debian and Ubuntu: libopenblas-openmp-dev.")

if(CBLAS_FOUND AND NOT TARGET CBLAS::CBLAS)
  add_library(CBLAS::CBLAS INTERFACE IMPORTED)
  target_include_directories(CBLAS::CBLAS INTERFACE "${CBLAS_INCLUDE_DIR}")
  target_link_libraries(CBLAS::CBLAS INTERFACE "${CBLAS_LIBRARY}")
  # The reference implementation keeps the Fortran routines, which the C interface calls, in a library of their own.
  if(CBLAS_LIBRARY MATCHES "libcblas")
    find_package(BLAS QUIET)
    target_link_libraries(CBLAS::CBLAS INTERFACE $<TARGET_NAME_IF_EXISTS:BLAS::BLAS>)
  endif()
endif()
