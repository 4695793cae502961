#!/bin/sh
# SPDX-License-Identifier: ISC
# Install folders given as absolute paths, as some distributions do, are used as they are.
set -eu
. "$(dirname "$0")/lib.sh"

# expect VARIABLE VALUE; pkg-config escapes spaces, for a shell.
expect() {
    eval "value=$(module --variable="$1")"
    # shellcheck disable=SC2154 # assigned by eval
    [ "$value" = "$2" ] || fail "$1 is $value, not $2"
}

build_library "$work/build" -DCMAKE_INSTALL_PREFIX="$work/out" \
    -DCMAKE_INSTALL_LIBDIR="$work/elsewhere/lib" -DCMAKE_INSTALL_INCLUDEDIR="$work/dev/include"
quietly "$CMAKE" --install "$work/build"
libdir="$work/elsewhere/lib"
expect libdir "$libdir"
expect includedir "$work/dev/include"
expect prefix "$work/out"
compile_with_pkg_config
prefix="$libdir" compile_with_find_package -Dsecure_malloc_DIR="$libdir/cmake/secure_malloc"
