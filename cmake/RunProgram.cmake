# SPDX-License-Identifier: Apache-2.0
# cmake -DEXPECT=<regex> -DFAILS=<bool> -P RunProgram.cmake -- <command>...
# Runs the command and checks both its exit code and what it prints; CTest by itself checks one of them.
set(command)
set(seen FALSE)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
  if(seen)
    list(APPEND command "${CMAKE_ARGV${i}}")
  elseif(CMAKE_ARGV${i} STREQUAL "--")
    set(seen TRUE)
  endif()
endforeach()

execute_process(COMMAND ${command} OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
message("${output}")
if(FAILS AND status STREQUAL "0")
  message(FATAL_ERROR "The program ended with exit code 0; it should have failed.")
elseif(NOT FAILS AND NOT status STREQUAL "0")
  message(FATAL_ERROR "The program ended with: ${status}")
endif()
if(EXPECT AND NOT output MATCHES "${EXPECT}")
  message(FATAL_ERROR "The program did not print what matches: ${EXPECT}")
endif()
