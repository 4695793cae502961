# SPDX-License-Identifier: ISC
# Two components, as distributions split them: Runtime (the shared library) and Development (the rest).
# Everything that is installed finds itself from its own place, so an installed tree can be moved.

include(CMakePackageConfigHelpers)

set(config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/secure_malloc")

cmake_path(IS_ABSOLUTE CMAKE_INSTALL_LIBDIR libdir_is_absolute)
cmake_path(IS_ABSOLUTE CMAKE_INSTALL_INCLUDEDIR includedir_is_absolute)

# CMake 3.25 exports an absolute destination of a file set as a path below the prefix.
set(header_destination "${CMAKE_INSTALL_INCLUDEDIR}")
if(includedir_is_absolute)
    cmake_path(RELATIVE_PATH header_destination BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}")
endif()
install(TARGETS secure_malloc EXPORT secure_malloc-targets
    LIBRARY COMPONENT Runtime NAMELINK_COMPONENT Development
    ARCHIVE COMPONENT Development
    FILE_SET HEADERS DESTINATION "${header_destination}" COMPONENT Development)
install(EXPORT secure_malloc-targets
    NAMESPACE secure_malloc:: DESTINATION "${config_dir}" COMPONENT Development)

configure_package_config_file(
    "${PROJECT_SOURCE_DIR}/cmake/secure_malloc-config.cmake.in" secure_malloc-config.cmake
    INSTALL_DESTINATION "${config_dir}" NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may break what an earlier one promised.
write_basic_package_version_file(secure_malloc-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    "${CMAKE_CURRENT_BINARY_DIR}/secure_malloc-config.cmake"
    "${CMAKE_CURRENT_BINARY_DIR}/secure_malloc-config-version.cmake"
    DESTINATION "${config_dir}" COMPONENT Development)

# A directory that is absolute is used as it is: joined to the prefix it would name a folder that does
# not exist. With an absolute libdir nothing is known of the way from the .pc file to the prefix, so
# the prefix is then written out too.
set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
set(pc_libdir "${CMAKE_INSTALL_LIBDIR}")
set(pc_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
if(NOT libdir_is_absolute)
    cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX
        BASE_DIRECTORY "${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/pkgconfig" OUTPUT_VARIABLE up)
    cmake_path(SET up NORMALIZE "${up}")
    string(REGEX REPLACE "/$" "" up "${up}")
    set(pc_prefix "\${pcfiledir}/${up}")
    set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
if(NOT includedir_is_absolute)
    set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
# pkg-config splits words at spaces; what it puts into ${pcfiledir} itself is escaped already.
foreach(value IN ITEMS pc_prefix pc_libdir pc_includedir)
    string(REPLACE " " "\\ " ${value} "${${value}}")
endforeach()
configure_file("${PROJECT_SOURCE_DIR}/cmake/secure_malloc.pc.in" secure_malloc.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/secure_malloc.pc"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT Development)

install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" "${PROJECT_SOURCE_DIR}/README.md"
    "${PROJECT_SOURCE_DIR}/CHANGELOG.md"
    DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT Development)

include(cmake/SecureMallocManual.cmake)
