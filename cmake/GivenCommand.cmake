# SPDX-License-Identifier: Apache-2.0
# For scripts that stand before a command, as launchers of compilers and programs do: cmake -D... -P script.cmake -- <command>...
include_guard()

# gshard_given_command(<variable>): the command behind the two dashes.
function(gshard_given_command variable)
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
  set(${variable} "${command}" PARENT_SCOPE)
endfunction()

# gshard_object_of(<variable> <command>...): the file that a compiler writes, which follows -o.
function(gshard_object_of variable)
  list(FIND ARGN "-o" option)
  math(EXPR position "${option} + 1")
  list(GET ARGN ${position} object)
  set(${variable} "${object}" PARENT_SCOPE)
endfunction()
