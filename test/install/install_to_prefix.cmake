# SPDX-License-Identifier: Apache-2.0
# cmake -DBUILD=<build folder> -DPREFIX=<scratch> -DINCLUDE=<source of the headers> -DINCLUDEDIR=include -P install_to_prefix.cmake
# Installs, and checks that each header of the source arrives, and nothing else.
cmake_minimum_required(VERSION 3.25)

execute_process(COMMAND "${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${PREFIX}" OUTPUT_VARIABLE log COMMAND_ERROR_IS_FATAL ANY)

file(GLOB_RECURSE expected RELATIVE "${INCLUDE}" "${INCLUDE}/*")
file(GLOB_RECURSE installed RELATIVE "${PREFIX}/${INCLUDEDIR}" "${PREFIX}/${INCLUDEDIR}/*")
set(missing ${expected})
list(REMOVE_ITEM missing ${installed})
if(missing)
  message(FATAL_ERROR "Not installed: ${missing}")
endif()

# A header that has left the source may have stayed from an earlier run in this scratch prefix.
list(REMOVE_ITEM installed ${expected})
list(TRANSFORM installed PREPEND "${PREFIX}/${INCLUDEDIR}/")
if(installed)
  file(REMOVE ${installed})
endif()

list(LENGTH expected count)
message("${count} headers installed")
