# SPDX-License-Identifier: Apache-2.0
# cmake [-DSECOND=<another compiler>] -P compile_both.cmake -- <command that compiles a case>
# Compiles the mistake, which is expected to fail, and keeps what the compiler says beside the object file; then compiles the twin. A second compiler does the
# same, without making an object file.
cmake_minimum_required(VERSION 3.25)

set(command)
set(object)
set(seen FALSE)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
  if(seen)
    if(previous STREQUAL "-o")
      set(object "${CMAKE_ARGV${i}}")
    endif()
    list(APPEND command "${CMAKE_ARGV${i}}")
    set(previous "${CMAKE_ARGV${i}}")
  elseif(CMAKE_ARGV${i} STREQUAL "--")
    set(seen TRUE)
  endif()
endforeach()

set(ENV{LC_ALL} C)

# keep_diagnostics(<file> <command>...)
function(keep_diagnostics file)
  execute_process(COMMAND ${ARGN} -DGSHARD_EXPECT_ERROR -fsyntax-only
    OUTPUT_VARIABLE diagnostics ERROR_VARIABLE diagnostics RESULT_VARIABLE status)
  if(status STREQUAL "0")
    set(diagnostics "COMPILED: ${diagnostics}")
  endif()
  file(WRITE "${file}" "${diagnostics}")
endfunction()

# compile_twin(<command>...)
function(compile_twin)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status)
  if(NOT status STREQUAL "0")
    message(FATAL_ERROR "The twin of the mistake has to compile.")
  endif()
endfunction()

keep_diagnostics("${object}.txt" ${command})
compile_twin(${command})
if(SECOND)
  list(POP_FRONT command)
  keep_diagnostics("${object}.clang.txt" "${SECOND}" ${command})
  compile_twin("${SECOND}" ${command} -fsyntax-only)
endif()
