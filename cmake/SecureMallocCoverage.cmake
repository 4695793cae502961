# SPDX-License-Identifier: ISC
# coverage-report: prints the line coverage of src/ that the tests have left behind in a build whose
# CFLAGS hold --coverage (the `coverage` preset).

if(NOT CMAKE_C_FLAGS MATCHES "--coverage" OR NOT CMAKE_C_COMPILER_ID STREQUAL "GNU")
    return()
endif()

# The format of the counters changes with the compiler: its own gcov must read them.
string(REGEX MATCH "^[0-9]+" major "${CMAKE_C_COMPILER_VERSION}")
get_filename_component(compiler_dir "${CMAKE_C_COMPILER}" DIRECTORY)
find_program(SECURE_MALLOC_GCOV NAMES gcov-${major} gcov HINTS "${compiler_dir}" REQUIRED)

add_custom_target(coverage-report
    COMMAND sh "${PROJECT_SOURCE_DIR}/cmake/coverage.sh"
        "${SECURE_MALLOC_GCOV}" "${PROJECT_SOURCE_DIR}/src" "${PROJECT_BINARY_DIR}"
    USES_TERMINAL VERBATIM)
