# SPDX-License-Identifier: Apache-2.0
# Finds the Random123 headers (counter-based random numbers) and defines Random123::Random123.
include(FindPackageHandleStandardArgs)

find_path(Random123_INCLUDE_DIR Random123/philox.h)
mark_as_advanced(Random123_INCLUDE_DIR)

find_package_handle_standard_args(Random123
  REQUIRED_VARS Random123_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "Debian and Ubuntu: librandom123-dev. Elsewhere: github.com/DEShawResearch/random123.")

if(Random123_FOUND AND NOT TARGET Random123::Random123)
  add_library(Random123::Random123 INTERFACE IMPORTED)
  target_include_directories(Random123::Random123 INTERFACE "${Random123_INCLUDE_DIR}")
endif()
