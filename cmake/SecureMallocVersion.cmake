# SPDX-License-Identifier: ISC
# The version lives in the public header alone: a program that copies the header into its tree and a
# package manager that reads CMake's idea of the version must never see two numbers.

function(secure_malloc_read_version header result)
    file(STRINGS "${header}" lines REGEX "^#define SECURE_MALLOC_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+$")
    foreach(part IN ITEMS MAJOR MINOR PATCH)
        if(NOT lines MATCHES "SECURE_MALLOC_VERSION_${part} +([0-9]+)")
            message(FATAL_ERROR "${header} does not define SECURE_MALLOC_VERSION_${part}")
        endif()
        list(APPEND version ${CMAKE_MATCH_1})
    endforeach()
    list(JOIN version "." version)
    set(${result} "${version}" PARENT_SCOPE)
endfunction()
