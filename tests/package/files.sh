#!/bin/sh
# SPDX-License-Identifier: ISC
# What is installed, and where a distribution wants it: DESTDIR, /usr, the multiarch library folder.
set -eu
. "$(dirname "$0")/lib.sh"
[ "$SHARED" = ON ] || skip "this build is static"

build_library "$work/build" -DCMAKE_INSTALL_PREFIX=/usr -DCMAKE_BUILD_TYPE=RelWithDebInfo
DESTDIR="$work/root" quietly "$CMAKE" --install "$work/build"
[ "$(ls "$work/root")" = usr ] || fail "something is installed outside of /usr"
cd "$work/root/usr"
libdir=$(dirname "$(find . -name 'libsecure_malloc.so')")
libdir=${libdir#./}
if [ -e /etc/debian_version ] && [ "$libdir" = lib ]; then
    fail "on Debian the library belongs into the multiarch folder"
fi
find . ! -type d | sed "s|^\./||; s|^$libdir/|LIBDIR/|" | LC_ALL=C sort > "$work/files.txt"
diff -u "$SOURCE/tests/package/files.txt" "$work/files.txt" || fail "another list of files"

# Each component is enough for what distributions put into its package.
DESTDIR="$work/runtime" quietly "$CMAKE" --install "$work/build" --component Runtime
case $(cd "$work/runtime/usr/$libdir" && echo *) in
    libsecure_malloc.so.0\ libsecure_malloc.so.0.*) ;;
    *) fail "the component Runtime is not the library and its soname" ;;
esac
