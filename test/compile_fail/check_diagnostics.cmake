# SPDX-License-Identifier: Apache-2.0
# cmake -DCASE=<source file> -DDIAGNOSTICS=<what the compiler said of several cases> -P check_diagnostics.cmake
# The compiler has to point at a line of this case, and to say what the case expects.
cmake_minimum_required(VERSION 3.25)

file(READ "${DIAGNOSTICS}" text)
cmake_path(GET CASE FILENAME name)
string(FIND "${text}" "/${name}:" place)
if(text MATCHES "^COMPILED: " OR place EQUAL -1)
  message(FATAL_ERROR "The mistake compiles.")
endif()
string(REGEX REPLACE "[ \t\r\n]+" " " flat "${text}")

file(STRINGS "${CASE}" expectations REGEX "^// expect-error: ")
if(NOT expectations)
  message(FATAL_ERROR "${CASE} has no line '// expect-error: ...'.")
endif()
foreach(expectation IN LISTS expectations)
  string(REGEX REPLACE "^// expect-error: " "" expression "${expectation}")
  if(NOT flat MATCHES "${expression}")
    message("${text}")
    message(FATAL_ERROR "The compiler does not say: ${expression}")
  endif()
endforeach()
