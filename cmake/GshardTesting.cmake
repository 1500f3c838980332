# SPDX-License-Identifier: Apache-2.0
# The kinds of tests that test/CMakeLists.txt lists. To be included by the root, where all folders see what it finds.
include_guard()
include(GshardLaunch)

set(GSHARD_TEST_MAX_RANKS 8 CACHE STRING "Tests on more ranks than this are left out")
option(GSHARD_TEST_REPRESENTATIVE
  "Test programs alone, without what only compiles, and without those marked REPEATS" OFF)

find_package(doctest REQUIRED)

# With GSHARD_BUILD_COMPILED, test programs use gshard::compiled; examples and what only has to compile use the headers alone.
set(gshard_tested gshard::gshard)
if(GSHARD_BUILD_COMPILED)
  set(gshard_tested gshard::compiled)
endif()

set(GSHARD_COMPUTE_FLAGS "" CACHE STRING
  "Compile options of what tests spend their time in (gshard::compiled, the references, the trainer), where the rest is not optimised")

# gshard_computes(<target>): compiled with GSHARD_COMPUTE_FLAGS, which precompiled headers are not.
function(gshard_computes target)
  separate_arguments(flags NATIVE_COMMAND "${GSHARD_COMPUTE_FLAGS}")
  target_compile_options(${target} PRIVATE ${flags})
endfunction()

if(GSHARD_BUILD_COMPILED)
  gshard_computes(gshard_compiled)
endif()

# What tests compare with.
file(GLOB references CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/test/references/*.cpp")
add_library(gshard_test_references STATIC EXCLUDE_FROM_ALL ${references})
target_include_directories(gshard_test_references PUBLIC "${PROJECT_SOURCE_DIR}/test/references" PRIVATE "${PROJECT_SOURCE_DIR}/test/support")
target_link_libraries(gshard_test_references PRIVATE gshard::gshard doctest::doctest gshard_warnings)
gshard_computes(gshard_test_references)

add_library(gshard_test_main OBJECT "${PROJECT_SOURCE_DIR}/test/support/mpi_main.cpp")
target_include_directories(gshard_test_main PUBLIC "${PROJECT_SOURCE_DIR}/test/support")
target_link_libraries(gshard_test_main PUBLIC ${gshard_tested} doctest::doctest gshard_test_references PRIVATE gshard_warnings)

option(GSHARD_PRECOMPILE "Compile tests and examples through one precompiled header: a third of the time at -O0" OFF)

# gshard_precompile(<target> [TEST] [COMPUTES]): through a precompiled header that all such targets share, where these are wanted. Its own for tests, whose one
# has doctest. COMPUTES: it takes longer to run than to compile optimised (gshard_computes).
function(gshard_precompile target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TEST;COMPUTES" "" "")
  if(arg_COMPUTES)
    gshard_computes(${target})
  endif()
  if(NOT GSHARD_PRECOMPILE OR (arg_COMPUTES AND GSHARD_COMPUTE_FLAGS))
    return()
  endif()
  set(library gshard_example_headers)
  set(gshard gshard::gshard)
  set(headers <gshard/gshard.hpp>)
  if(arg_TEST)
    set(library gshard_test_headers)
    set(gshard ${gshard_tested})
    list(APPEND headers <doctest/doctest.h>)
  endif()
  if(NOT TARGET ${library})
    file(CONFIGURE OUTPUT precompiled.cpp CONTENT "")
    add_library(${library} OBJECT "${CMAKE_CURRENT_BINARY_DIR}/precompiled.cpp")
    target_link_libraries(${library} PRIVATE ${gshard} doctest::doctest gshard_warnings)
    target_precompile_headers(${library} PRIVATE ${headers})
  endif()
  target_precompile_headers(${target} REUSE_FROM ${library})
endfunction()

# gshard_check_syntax(<target>): an object library whose files have to compile, and never run: no code is generated.
function(gshard_check_syntax target)
  set_target_properties(${target} PROPERTIES
    CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND};-P;${PROJECT_SOURCE_DIR}/cmake/CheckSyntax.cmake;--")
endfunction()

function(gshard_add_test_executable name sources libraries)
  add_executable(test_${name} ${sources})
  target_link_libraries(test_${name} PRIVATE gshard_test_main gshard_warnings ${libraries})
  gshard_precompile(test_${name} TEST ${ARGN})
endfunction()

# gshard_add_mpi_test(<name> SOURCES <file>... [RANKS <n>...] [LIBRARIES <target>...] [REPEATS] [COMPUTES])
#
# One program of doctest cases, run on 1, 2, 3, 4, 6 and 8 ranks unless RANKS says otherwise, as <name>.np1, <name>.np2, ...
# REPEATS: takes long, and touches no memory that others do not: it runs what they run in many more types, or abstract tensors alone.
# GSHARD_TEST_REPRESENTATIVE leaves it out. COMPUTES: as for gshard_precompile.
function(gshard_add_mpi_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "REPEATS;COMPUTES" "" "SOURCES;RANKS;LIBRARIES")
  if(arg_REPEATS AND GSHARD_TEST_REPRESENTATIVE)
    return()
  endif()
  if(NOT arg_RANKS)
    set(arg_RANKS 1 2 3 4 6 8)
  endif()
  set(computes)
  if(arg_COMPUTES)
    set(computes COMPUTES)
  endif()
  gshard_add_test_executable(${name} "${arg_SOURCES}" "${arg_LIBRARIES}" ${computes})
  foreach(ranks IN LISTS arg_RANKS)
    if(ranks GREATER GSHARD_TEST_MAX_RANKS)
      continue()
    endif()
    # One rank alone has threads, so that parallel kernels meet them in the tests.
    set(threads 1)
    if(ranks EQUAL 1)
      set(threads 2)
    endif()
    gshard_launch_command(command TARGET test_${name} RANKS ${ranks} THREADS ${threads})
    add_test(NAME ${name}.np${ranks} COMMAND ${command})
    set_tests_properties(${name}.np${ranks} PROPERTIES TIMEOUT 120 PROCESSORS 2 LABELS mpi)
  endforeach()
endfunction()

# gshard_add_test(<name> SOURCES <file>... [LIBRARIES <target>...] [THREADS <n>] [REPEATS])
#
# The same for what needs one process only: no launcher. On 2 threads unless THREADS says otherwise.
function(gshard_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "REPEATS" "THREADS" "SOURCES;LIBRARIES")
  if(arg_REPEATS AND GSHARD_TEST_REPRESENTATIVE)
    return()
  endif()
  gshard_add_test_executable(${name} "${arg_SOURCES}" "${arg_LIBRARIES}")
  if(NOT arg_THREADS)
    set(arg_THREADS 2)
  endif()
  gshard_launch_environment(environment ${arg_THREADS})
  add_test(NAME ${name} COMMAND test_${name})
  # Threads that wait for each other take many times as long where another test runs beside them.
  set_tests_properties(${name} PROPERTIES TIMEOUT 120 ENVIRONMENT "${environment}" PROCESSORS ${arg_THREADS} LABELS serial)
endfunction()

# gshard_add_static_test(<name> SOURCES <file>...)
#
# Files of static_asserts: the test passes when they compile, so it is the build that runs it.
function(gshard_add_static_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES")
  add_library(static_${name} OBJECT ${arg_SOURCES})
  target_link_libraries(static_${name} PRIVATE gshard::gshard gshard_warnings)
  gshard_check_syntax(static_${name})
endfunction()

# gshard_add_program_test(<name> TARGET <executable> RANKS <n> [ARGUMENTS <argument>...] [EXPECT <regex>] [FAILS | EXIT_CODE <n>]
#   [MESSAGES <n>])
#
# A program as its user starts it. EXPECT: what it has to print; FAILS: its exit code must not be 0; EXIT_CODE: what it must be;
# MESSAGES: how many errors it may print, 1 unless given.
function(gshard_add_program_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "FAILS" "TARGET;RANKS;EXPECT;EXIT_CODE;MESSAGES" "ARGUMENTS")
  gshard_launch_command(command TARGET ${arg_TARGET} RANKS ${arg_RANKS} ARGUMENTS ${arg_ARGUMENTS})
  add_test(NAME ${name} COMMAND "${CMAKE_COMMAND}" "-DEXPECT=${arg_EXPECT}" -DFAILS=${arg_FAILS} -DEXIT_CODE=${arg_EXIT_CODE}
    -DMESSAGES=${arg_MESSAGES}
    -P "${PROJECT_SOURCE_DIR}/cmake/RunProgram.cmake" -- ${command})
  set_tests_properties(${name} PROPERTIES TIMEOUT 120 PROCESSORS 2 LABELS program)
endfunction()
