#!/bin/sh
# SPDX-License-Identifier: ISC
# The installed shared library, moved elsewhere, is found by pkg-config and by find_package.
set -eu
. "$(dirname "$0")/lib.sh"
[ "$SHARED" = ON ] || skip "this build is static"

install_and_move "$BUILD"
compile_with_pkg_config
needs_shared_library "$work/consumer" || fail "pkg-config did not link the shared library"
compile_with_find_package
needs_shared_library "$work/consumer build/consumer" || fail "find_package did not link it"
