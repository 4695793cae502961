# SPDX-License-Identifier: ISC
# What every C file of this project is compiled with, the library's and the tests'. Internal targets:
# nothing here reaches a program that uses the library.
#
#   secure_malloc_warnings   build-only; -Werror comes from CMAKE_COMPILE_WARNING_AS_ERROR in the presets
#   secure_malloc_hardening  what the compiler can do and the builder has not already decided

include(CheckCCompilerFlag)
include(CheckLinkerFlag)

add_library(secure_malloc_warnings INTERFACE)
target_compile_options(secure_malloc_warnings INTERFACE
    -Wall -Wextra -Wundef -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
    -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wpointer-arith)

add_library(secure_malloc_hardening INTERFACE)

# Our options come after CFLAGS on the command line and would win: a family that the builder names in
# CFLAGS is left alone.
function(secure_malloc_harden flag family)
    if(CMAKE_C_FLAGS MATCHES "${family}")
        return()
    endif()
    string(MAKE_C_IDENTIFIER "SECURE_MALLOC_HAS${flag}" has)
    check_c_compiler_flag(${flag} ${has})
    if(${has})
        target_compile_options(secure_malloc_hardening INTERFACE ${flag})
    endif()
endfunction()

secure_malloc_harden(-fstack-protector-strong "stack-protector")
secure_malloc_harden(-fstack-clash-protection "stack-clash")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|i[3-6]86)$")
    secure_malloc_harden(-fcf-protection=full "cf-protection")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    secure_malloc_harden(-mbranch-protection=standard "branch-protection")
endif()

# Without optimisation it only warns, and the sanitizers check the same calls better.
if(NOT CMAKE_C_FLAGS MATCHES "_FORTIFY_SOURCE|-fsanitize|-O0")
    target_compile_options(secure_malloc_hardening INTERFACE
        "$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>")
endif()

# Adds -z KEYWORD to a target's link where the linker knows it.
function(secure_malloc_link_keywords target)
    foreach(keyword IN LISTS ARGN)
        check_linker_flag(C "LINKER:-z,${keyword}" SECURE_MALLOC_HAS_Z_${keyword})
        if(SECURE_MALLOC_HAS_Z_${keyword})
            target_link_options(${target} PRIVATE "LINKER:-z,${keyword}")
        endif()
    endforeach()
endfunction()
