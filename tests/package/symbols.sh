#!/bin/sh
# SPDX-License-Identifier: ISC
# The shared library exports the functions of the header, versioned, and nothing else.
set -eu
. "$(dirname "$0")/lib.sh"
[ "$SHARED" = ON ] || skip "this build is static"
golden="$SOURCE/tests/package/symbols.txt"

nm -D --defined-only "$BUILD/src/libsecure_malloc.so" | awk '$2 != "A" { print $3 }' |
    LC_ALL=C sort > "$work/exported"
diff -u "$golden" "$work/exported" || fail "another list of exported symbols"

# A declaration begins with SECURE_MALLOC_API; the name is the word before the first bracket.
sed -n 's/^SECURE_MALLOC_API [^(]*[ *]\([a-z_]*\)(.*/\1/p' "$SOURCE/include/secure_malloc.h" |
    LC_ALL=C sort > "$work/declared"
sed 's/@@.*//' "$golden" | diff -u - "$work/declared" || fail "the header declares something else"

# Calls among ourselves are not answered by a function of the program's that has the same name.
readelf -rW "$BUILD/src/libsecure_malloc.so" > "$work/relocations"
while read -r name; do
    ! grep -qw "$name" "$work/relocations" || fail "$name is called, or its address taken, by name"
done < "$work/declared"

readelf -d "$BUILD/src/libsecure_malloc.so" > "$work/dynamic"
grep -q 'SONAME.*\[libsecure_malloc.so.0\]' "$work/dynamic" || fail "the soname is wrong"
grep -q NODELETE "$work/dynamic" || fail "-z nodelete is missing"
grep -q 'NOW' "$work/dynamic" || fail "-z now is missing"
readelf -lW "$BUILD/src/libsecure_malloc.so" | grep -q GNU_RELRO || fail "-z relro is missing"
! grep -E -q 'RPATH|RUNPATH' "$work/dynamic" || fail "there is a search path in it"
while read -r needed; do
    case $needed in
        *libc.so.6* | *ld-linux* | '') ;;
        *) fail "needs more than libc: $needed" ;;
    esac
done <<END
$(grep NEEDED "$work/dynamic")
END
