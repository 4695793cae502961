#!/bin/sh
# SPDX-License-Identifier: ISC
# One version everywhere: header, library, .pc file, CMake package, file name, change log.
set -eu
. "$(dirname "$0")/lib.sh"

part() {
    sed -n "s/^#define SECURE_MALLOC_VERSION_$1 *\([0-9]*\)$/\1/p" "$SOURCE/include/secure_malloc.h"
}
version=$(part MAJOR).$(part MINOR).$(part PATCH)

install_and_move "$BUILD"
[ "$(module --modversion)" = "$version" ] || fail "pkg-config says $(module --modversion)"
grep -q "^set(PACKAGE_VERSION \"$version\")$" "$libdir/cmake/secure_malloc/secure_malloc-config-version.cmake" ||
    fail "the CMake package has another version than $version"
if [ "$SHARED" = ON ]; then
    [ -f "$libdir/libsecure_malloc.so.$version" ] || fail "the library's file name lacks $version"
fi
logged=$(sed -n 's/^## \([0-9][0-9.]*\).*/\1/p' "$SOURCE/CHANGELOG.md" | head -n 1)
[ "$logged" = "$version" ] || fail "the newest version in CHANGELOG.md is $logged"
# The library's own word is compared with the header's by the consumer.
compile_with_pkg_config
