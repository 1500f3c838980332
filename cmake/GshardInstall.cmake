# SPDX-License-Identifier: Apache-2.0
# Installs the headers, the exported target, and what find_package(gshard) needs to find the same dependencies again.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# A package with the compiled library is one of its architecture.
set(gshard_package_dir "${CMAKE_INSTALL_DATADIR}/cmake/gshard")
set(gshard_architecture ARCH_INDEPENDENT)
if(GSHARD_BUILD_COMPILED)
  set(gshard_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/gshard")
  set(gshard_architecture "")
endif()

install(TARGETS gshard EXPORT gshardTargets FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
if(GSHARD_BUILD_COMPILED)
  install(TARGETS gshard_compiled EXPORT gshardTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endif()
install(EXPORT gshardTargets NAMESPACE gshard:: DESTINATION "${gshard_package_dir}")

configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/gshardConfig.cmake.in" "${CMAKE_CURRENT_BINARY_DIR}/gshardConfig.cmake"
  INSTALL_DESTINATION "${gshard_package_dir}"
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/gshardConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion
  ${gshard_architecture})

install(FILES
  "${CMAKE_CURRENT_BINARY_DIR}/gshardConfig.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/gshardConfigVersion.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/FindCBLAS.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/FindRandom123.cmake"
  DESTINATION "${gshard_package_dir}")
install(FILES "${CMAKE_CURRENT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
