# SPDX-License-Identifier: Apache-2.0
# How programs of this project are compiled and started on several ranks of one machine, which may have fewer cores than ranks.
include_guard()

add_library(gshard_warnings INTERFACE)
target_compile_options(gshard_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)

if(NOT DEFINED GSHARD_MPI_VENDOR)
  execute_process(COMMAND "${MPIEXEC_EXECUTABLE}" --version OUTPUT_VARIABLE version ERROR_VARIABLE version RESULT_VARIABLE status)
  if(version MATCHES "Open MPI|OpenRTE|PRRTE|Open-MPI")
    set(vendor "Open MPI")
  else()
    set(vendor "other")
  endif()
  set(GSHARD_MPI_VENDOR "${vendor}" CACHE INTERNAL "Which MPI the launcher belongs to")
  message(STATUS "MPI launcher: ${MPIEXEC_EXECUTABLE} (${vendor})")
endif()

if(GSHARD_MPI_VENDOR STREQUAL "Open MPI")
  set(launcher_flags --oversubscribe --bind-to none)
endif()
set(GSHARD_MPIEXEC_FLAGS "${launcher_flags}" CACHE STRING "Arguments of the MPI launcher, after the number of ranks")

# gshard_launch_command(<variable> TARGET <executable> RANKS <n> [THREADS <n>] [ARGUMENTS <argument>...])
#
# Sets <variable> to the command line that runs the executable on so many ranks with so many threads each.
function(gshard_launch_command variable)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TARGET;RANKS;THREADS" "ARGUMENTS")
  gshard_launch_environment(environment "${arg_THREADS}")
  set(${variable}
    "${CMAKE_COMMAND}" -E env ${environment}
    "${MPIEXEC_EXECUTABLE}" "${MPIEXEC_NUMPROC_FLAG}" ${arg_RANKS} ${GSHARD_MPIEXEC_FLAGS}
    $<TARGET_FILE:${arg_TARGET}> ${arg_ARGUMENTS}
    PARENT_SCOPE)
endfunction()

# gshard_launch_environment(<variable> <threads>): the environment of such a run, as a list of NAME=VALUE.
function(gshard_launch_environment variable threads)
  if(NOT threads)
    set(threads 1)
  endif()
  set(environment OMP_NUM_THREADS=${threads} OMP_PROC_BIND=false KOKKOS_DISABLE_WARNINGS=1)
  if(GSHARD_MPI_VENDOR STREQUAL "Open MPI")
    # Containers run as root; waiting ranks leave the core to those that work; no search for networks.
    list(APPEND environment
      OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
      OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl=self,sm)
  endif()
  set(${variable} ${environment} PARENT_SCOPE)
endfunction()
