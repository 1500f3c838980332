# SPDX-License-Identifier: Apache-2.0
# cmake [-DSECOND=<another compiler>] -P compile_both.cmake -- <command that compiles a file>
# A compiler launcher. For a precompiled header: makes it, and one for the second compiler beside it, where that looks for it. For a case: checks the syntax of
# the mistake, which is expected to be refused, and keeps what the compiler says beside the object file; then checks the twin; the second compiler does the same.
# Templates are instantiated, but no code is generated: the object file is an empty one.
cmake_minimum_required(VERSION 3.25)

set(command)
set(object)
set(precompiles FALSE)
set(seen FALSE)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
  if(seen)
    if(previous STREQUAL "-o")
      set(object "${CMAKE_ARGV${i}}")
    elseif(CMAKE_ARGV${i} STREQUAL "c++-header")
      set(precompiles TRUE)
    endif()
    list(APPEND command "${CMAKE_ARGV${i}}")
    set(previous "${CMAKE_ARGV${i}}")
  elseif(CMAKE_ARGV${i} STREQUAL "--")
    set(seen TRUE)
  endif()
endforeach()

set(ENV{LC_ALL} C)

# run(<what has to work> <command>...)
function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status)
  if(NOT status STREQUAL "0")
    message(FATAL_ERROR "${what}")
  endif()
endfunction()

# keep_diagnostics(<file> <command>...)
function(keep_diagnostics file)
  execute_process(COMMAND ${ARGN} -DGSHARD_EXPECT_ERROR -fsyntax-only
    OUTPUT_VARIABLE diagnostics ERROR_VARIABLE diagnostics RESULT_VARIABLE status)
  if(status STREQUAL "0")
    set(diagnostics "COMPILED: ${diagnostics}")
  endif()
  file(WRITE "${file}" "${diagnostics}")
endfunction()

set(second_command ${command})
list(POP_FRONT second_command)
list(PREPEND second_command "${SECOND}")

if(precompiles)
  # Each compiler would take up what the other one, or an earlier run, has left there.
  string(REGEX REPLACE "\\.gch$" ".pch" second_object "${object}")
  file(REMOVE "${object}" "${second_object}")
  if(SECOND)
    list(TRANSFORM second_command REPLACE "^${object}$" "${second_object}")
    run("The headers have to compile." ${second_command} -fpch-instantiate-templates)
  endif()
  run("The headers have to compile." ${command})
  return()
endif()

keep_diagnostics("${object}.txt" ${command})
run("The twin of the mistake has to compile." ${command} -fsyntax-only)
if(SECOND)
  keep_diagnostics("${object}.clang.txt" ${second_command})
  run("The twin of the mistake has to compile." ${second_command} -fsyntax-only)
endif()
file(TOUCH "${object}")
