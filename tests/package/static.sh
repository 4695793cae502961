#!/bin/sh
# SPDX-License-Identifier: ISC
# The same for the static library, which must bring its own dependencies.
set -eu
. "$(dirname "$0")/lib.sh"

build_library "$work/static build" -DBUILD_SHARED_LIBS=OFF
install_and_move "$work/static build"
compile_with_pkg_config --static
! needs_shared_library "$work/consumer" || fail "pkg-config linked a shared library"
compile_with_find_package
! needs_shared_library "$work/consumer build/consumer" || fail "find_package linked a shared one"
