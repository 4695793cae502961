#!/bin/sh
# SPDX-License-Identifier: ISC
# Installs what is missing (Debian), builds the library outside of this folder, and runs all tests.
# The last line is "N passed, N failed, N skipped".
#
#   sh tests/run.sh         with a C compiler, cmake, make, pkg-config, cmocka and libsodium; what needs
#                           more is skipped by name
#   sh tests/run.sh --all   installs that too: C++, clang and its tools, shellcheck, gdb, ...
#
# Exit status: 0 all passed, 1 a test failed or none was found, 2 something is missing and cannot be
# installed.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
program=tests/run.sh
# shellcheck source=tests/lib.sh
. "$root/tests/lib.sh"

case $#,${1:-} in
    0,) missing=$(missing_for_tests) ;;
    1,--all) missing=$(missing_for_all) ;;
    *)
        say "usage: sh tests/run.sh [--all]"
        exit 2
        ;;
esac

# shellcheck disable=SC2086 # one word, one package
install_packages $missing
raise_lock_limit

folder=$(build_folder)/tests
build "$folder" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DSECURE_MALLOC_BUILD_TESTS=ON -DSECURE_MALLOC_BUILD_EXAMPLES=ON
run_ctest "$folder/junit.xml" --test-dir "$folder"
