#!/bin/sh
# SPDX-License-Identifier: ISC
# As a folder of somebody else's project: no tests, no examples, nothing installed, no cache variable
# of theirs changed.
set -eu
. "$(dirname "$0")/lib.sh"

compile_with_find_package -DSECURE_MALLOC_FOLDER="$SOURCE" -DCMAKE_PREFIX_PATH="$work/nothing"
cache="$work/consumer build/CMakeCache.txt"
grep -q '^SECURE_MALLOC_BUILD_TESTS:BOOL=OFF$' "$cache" || fail "our tests are in their build"
grep -q '^SECURE_MALLOC_BUILD_EXAMPLES:BOOL=OFF$' "$cache" || fail "our examples are in their build"
! grep -q '^BUILD_SHARED_LIBS:' "$cache" || fail "BUILD_SHARED_LIBS is theirs to set"
grep -q '^CMAKE_BUILD_TYPE:STRING=$' "$cache" || fail "CMAKE_BUILD_TYPE is theirs to set"
quietly "$CMAKE" --install "$work/consumer build" --prefix "$work/installed"
[ -z "$(find "$work/installed" -type f 2> /dev/null)" ] || fail "their install installs ours"
