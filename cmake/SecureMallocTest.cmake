# SPDX-License-Identifier: ISC
# How tests are declared. Every test has a time limit, and 77 means: skipped, and said why.

# cmocka 1.1's CMake package has no target, and 2.0's does.
find_package(cmocka CONFIG QUIET)
if(TARGET cmocka::cmocka)
    add_library(secure_malloc_cmocka ALIAS cmocka::cmocka)
else()
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
        pkg_check_modules(SECURE_MALLOC_CMOCKA QUIET IMPORTED_TARGET cmocka)
    endif()
    if(NOT TARGET PkgConfig::SECURE_MALLOC_CMOCKA)
        message(FATAL_ERROR "The tests need cmocka and pkg-config (Debian: libcmocka-dev, pkg-config), "
            "or configure with -DSECURE_MALLOC_BUILD_TESTS=OFF")
    endif()
    add_library(secure_malloc_cmocka ALIAS PkgConfig::SECURE_MALLOC_CMOCKA)
endif()

# What all tests share: name the label after the part before the dot, limit the time.
#
#   secure_malloc_test_properties(NAME LABELS TIMEOUT RESOURCE_LOCK ENVIRONMENT)
function(secure_malloc_test_properties name labels timeout resource_lock environment)
    string(REGEX REPLACE "\\..*" "" group "${name}")
    list(APPEND labels ${group})
    list(REMOVE_DUPLICATES labels)
    if(NOT timeout)
        set(timeout 60)
    endif()
    set_tests_properties(${name} PROPERTIES
        LABELS "${labels}" TIMEOUT ${timeout} SKIP_RETURN_CODE 77)
    if(resource_lock)
        set_tests_properties(${name} PROPERTIES RESOURCE_LOCK "${resource_lock}")
    endif()
    if(environment)
        set_tests_properties(${name} PROPERTIES ENVIRONMENT "${environment}")
    endif()
endfunction()

# secure_malloc_add_test(NAME unit.slab SOURCES slab.c [WHITE_BOX | BLACK_BOX] [LABELS label...]
#     [LIBRARIES library...] [LINK_OPTIONS option...] [ARGUMENTS argument...] [TIMEOUT seconds]
#     [RESOURCE_LOCK name] [ENVIRONMENT NAME=value...])
#
# A program and the test that runs it. WHITE_BOX sees the library's own headers and objects, with debug
# checks; BLACK_BOX (the default) is a user of the public header and the library as it is shipped.
# RESOURCE_LOCK memlock keeps tests that use up the machine's lock limit apart.
function(secure_malloc_add_test)
    cmake_parse_arguments(PARSE_ARGV 0 arg "WHITE_BOX;BLACK_BOX" "NAME;TIMEOUT;RESOURCE_LOCK"
        "SOURCES;LABELS;LIBRARIES;LINK_OPTIONS;ARGUMENTS;ENVIRONMENT")
    if(arg_UNPARSED_ARGUMENTS OR NOT arg_NAME OR NOT arg_SOURCES OR (arg_WHITE_BOX AND arg_BLACK_BOX))
        message(FATAL_ERROR "secure_malloc_add_test: bad arguments: ${ARGV}")
    endif()

    string(REPLACE "." "-" target "test-${arg_NAME}")
    add_executable(${target} ${arg_SOURCES})
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
    if(arg_WHITE_BOX)
        target_link_libraries(${target} PRIVATE secure_malloc_white_box)
    else()
        target_compile_definitions(${target} PRIVATE _GNU_SOURCE)
        target_link_libraries(${target} PRIVATE secure_malloc::secure_malloc)
    endif()
    target_link_libraries(${target} PRIVATE
        secure_malloc_support secure_malloc_warnings Threads::Threads ${arg_LIBRARIES})
    target_link_options(${target} PRIVATE ${arg_LINK_OPTIONS})

    add_test(NAME ${arg_NAME} COMMAND ${target} ${arg_ARGUMENTS})
    secure_malloc_test_properties(${arg_NAME} "${arg_LABELS}" "${arg_TIMEOUT}" "${arg_RESOURCE_LOCK}"
        "${arg_ENVIRONMENT}")
endfunction()

# secure_malloc_add_script_test(NAME lint.layers COMMAND word... [LABELS label...] [TIMEOUT seconds]
#     [RESOURCE_LOCK name] [ENVIRONMENT NAME=value...])
function(secure_malloc_add_script_test)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;TIMEOUT;RESOURCE_LOCK" "COMMAND;LABELS;ENVIRONMENT")
    if(arg_UNPARSED_ARGUMENTS OR NOT arg_NAME OR NOT arg_COMMAND)
        message(FATAL_ERROR "secure_malloc_add_script_test: bad arguments: ${ARGV}")
    endif()
    add_test(NAME ${arg_NAME} COMMAND ${arg_COMMAND})
    secure_malloc_test_properties(${arg_NAME} "${arg_LABELS}" "${arg_TIMEOUT}" "${arg_RESOURCE_LOCK}"
        "${arg_ENVIRONMENT}")
endfunction()
