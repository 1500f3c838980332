# SPDX-License-Identifier: Apache-2.0
# cmake -DFIRST=gcc|clang [-DSECOND=<the other compiler>] -P compile_both.cmake -- <command that compiles a file>
# A compiler launcher. For a precompiled header: makes it, and one for the second compiler beside it, where that looks for it. For a file of
# cases: checks the syntax of the mistakes, which both are expected to refuse, and keeps what they say beside the object file.
# Templates are instantiated, but no code is generated: the object file is an empty one.
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/../../cmake/GivenCommand.cmake")

gshard_given_command(command)
gshard_object_of(object ${command})

set(ENV{LC_ALL} C)

# run(<what has to work> <command>...)
function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status)
  if(NOT status STREQUAL "0")
    message(FATAL_ERROR "${what}")
  endif()
endfunction()

# keep_diagnostics(<file> <compiler> <command>...)
function(keep_diagnostics file compiler)
  if(compiler STREQUAL "clang")
    list(APPEND ARGN -ferror-limit=0)
  endif()
  execute_process(COMMAND ${ARGN} -DGSHARD_EXPECT_ERROR -fsyntax-only
    OUTPUT_VARIABLE diagnostics ERROR_VARIABLE diagnostics RESULT_VARIABLE status)
  if(status STREQUAL "0")
    set(diagnostics "COMPILED: ${diagnostics}")
  endif()
  file(WRITE "${file}" "${diagnostics}")
endfunction()

# The same command for the other compiler: precompiled headers and OpenMP have other names there.
set(second_command ${command})
list(POP_FRONT second_command)
list(PREPEND second_command "${SECOND}")
if(FIRST STREQUAL "clang")
  set(second gcc)
  list(REMOVE_ITEM second_command -fpch-instantiate-templates)
  list(APPEND second_command -Wno-unknown-pragmas)  # of the list of headers that CMake writes
  list(TRANSFORM second_command REPLACE "^-fopenmp=.+" "-fopenmp")
  string(REGEX REPLACE "-Xclang;-include-pch;-Xclang;[^;]*;" "" second_command "${second_command}")
  string(REGEX REPLACE "-Xclang;-emit-pch;" "" second_command "${second_command}")
  string(REGEX REPLACE "-Xclang;-include;-Xclang;" "-include;" second_command "${second_command}")
  list(TRANSFORM second_command REPLACE "\\.pch$" ".gch")
else()
  set(second clang)
  list(APPEND second_command -fpch-instantiate-templates)
  list(TRANSFORM second_command REPLACE "\\.gch$" ".pch")
endif()

if("c++-header" IN_LIST command)
  # Each compiler would take up what the other one, or an earlier run, has left there.
  string(REGEX REPLACE "\\.[gp]ch$" "" header "${object}")
  file(REMOVE "${header}.gch" "${header}.pch")
  if(SECOND)
    run("The headers have to compile." ${second_command})
  endif()
  run("The headers have to compile." ${command})
  return()
endif()

keep_diagnostics("${object}.${FIRST}.txt" ${FIRST} ${command})
if(SECOND)
  keep_diagnostics("${object}.${second}.txt" ${second} ${second_command})
endif()
file(TOUCH "${object}")
