# SPDX-License-Identifier: Apache-2.0
# cmake -DINCLUDE=<folder> -P check_layers.cmake
# The folders of include/gshard form layers: a header includes its own folder and those before it in this list, no other. The header
# of a folder as a whole (gshard/einsum.hpp) counts as part of the last of its folders.
cmake_minimum_required(VERSION 3.25)

set(layers
  core cost mesh tensor comm reshard/kernels reshard expr reduce/kernels reduce/local autodiff einsum/local einsum index/kernels index reduce io
  spatial/kernels spatial optim/kernels optim nn/gating nn/kernels nn nn/moe nn/transformer)
set(mistakes)

# layer_of(<variable> <path below include>): the place of a header in the list; behind its end for gshard.hpp, -1 for a stranger.
function(layer_of variable path)
  if(path STREQUAL "gshard/gshard.hpp")
    list(LENGTH layers place)
  elseif(path MATCHES "^gshard/([a-z_]+)\\.hpp$")
    set(whole "${CMAKE_MATCH_1}")
    set(place -1)
    foreach(layer IN LISTS layers)
      if(layer STREQUAL whole OR layer MATCHES "^${whole}/")
        list(FIND layers "${layer}" place)
      endif()
    endforeach()
  elseif(path MATCHES "^gshard/([a-z_/]+)/[a-z0-9_]+\\.hpp$")
    list(FIND layers "${CMAKE_MATCH_1}" place)
  else()
    set(place -1)
  endif()
  set(${variable} ${place} PARENT_SCOPE)
endfunction()

file(GLOB_RECURSE headers RELATIVE "${INCLUDE}" "${INCLUDE}/*")
foreach(header IN LISTS headers)
  layer_of(own "${header}")
  if(own EQUAL -1)
    list(APPEND mistakes "${header}: belongs to no known folder")
  endif()

  file(STRINGS "${INCLUDE}/${header}" head LIMIT_COUNT 2)
  if(NOT head STREQUAL "// SPDX-License-Identifier: Apache-2.0;#pragma once")
    list(APPEND mistakes "${header}: does not begin with the licence line and #pragma once")
  endif()

  file(STRINGS "${INCLUDE}/${header}" lines REGEX "^ *# *include")
  foreach(line IN LISTS lines)
    if(line MATCHES "\"")
      list(APPEND mistakes "${header}: ${line}: write <gshard/...>")
    elseif(line MATCHES "<(gshard/[^>]+)>")
      set(target "${CMAKE_MATCH_1}")
      layer_of(place "${target}")
      if(NOT EXISTS "${INCLUDE}/${target}")
        list(APPEND mistakes "${header}: includes ${target}, which does not exist")
      elseif(place GREATER own)
        list(APPEND mistakes "${header}: includes ${target}, which lies above it")
      endif()
    endif()
  endforeach()
endforeach()

list(LENGTH headers count)
if(count EQUAL 0)
  message(FATAL_ERROR "no headers under ${INCLUDE}")
endif()
if(mistakes)
  list(JOIN mistakes "\n  " text)
  message(FATAL_ERROR "The folders must be, from the bottom up: ${layers}\n  ${text}")
endif()
message("${count} headers in order")
