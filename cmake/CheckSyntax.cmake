# SPDX-License-Identifier: Apache-2.0
# cmake -P CheckSyntax.cmake -- <command that compiles a file>
# A compiler launcher for what has to compile but never runs: templates are instantiated, no code is generated. The object file is an empty one.
# Precompiled headers are made as ever.
cmake_minimum_required(VERSION 3.25)
include("${CMAKE_CURRENT_LIST_DIR}/GivenCommand.cmake")

gshard_given_command(command)
gshard_object_of(object ${command})
set(precompiles FALSE)
if("c++-header" IN_LIST command)
  set(precompiles TRUE)
else()
  list(APPEND command -fsyntax-only)
endif()
execute_process(COMMAND ${command} RESULT_VARIABLE status)
if(NOT status STREQUAL "0")
  message(FATAL_ERROR "The file has to compile.")
endif()
if(NOT precompiles)
  file(TOUCH "${object}")
endif()
