#!/bin/sh
# SPDX-License-Identifier: ISC
# The builder's flags are the builder's: kept, and not overruled.
set -eu
. "$(dirname "$0")/lib.sh"

CFLAGS='-O1 -fno-stack-protector -D_FORTIFY_SOURCE=1' LDFLAGS='-Wl,--build-id=0xabcdef01' \
    build_library "$work/build" -DCMAKE_BUILD_TYPE=None -DBUILD_SHARED_LIBS=ON \
    -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
commands="$work/build/compile_commands.json"
grep -q -e '-O1 -fno-stack-protector -D_FORTIFY_SOURCE=1' "$commands" || fail "CFLAGS are lost"
! grep -q -e '-fstack-protector-strong' "$commands" || fail "-fno-stack-protector is overruled"
! grep -q -e '-D_FORTIFY_SOURCE=2' "$commands" || fail "_FORTIFY_SOURCE is overruled"
! grep -q -e '-O2' "$commands" || fail "-O1 is overruled"
readelf -n "$work/build/src/libsecure_malloc.so" | grep -q 'Build ID: abcdef01' || fail "LDFLAGS are lost"
