#!/bin/sh
# SPDX-License-Identifier: ISC
# Two builds in two folders are the same bytes, with debug information.
set -eu
. "$(dirname "$0")/lib.sh"

# once FOLDER ON|OFF
once() {
    mkdir -p "$1"
    for part in CMakeLists.txt cmake include src; do
        cp -R "$SOURCE/$part" "$1/$part"
    done
    SOURCE=$1 build_library "$1/build" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DBUILD_SHARED_LIBS="$2" \
        -DSECURE_MALLOC_INSTALL=OFF
}

for shared in ON OFF; do
    once "$work/one" $shared
    once "$work/another, longer" $shared
    for file in "$work/one/build/src"/libsecure_malloc.*; do
        cmp "$file" "$work/another, longer/build/src/${file##*/}" || fail "${file##*/} differs"
    done
    ! grep -q "$scratch" "$work/one/build/src"/libsecure_malloc.* || fail "the build folder is in it"
    rm -rf "$work/one" "$work/another, longer"
done
