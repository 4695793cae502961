#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: facts.sh BUILD PROGRAMS COMMAND...
# Prints what a measurement depends on, as a Markdown list: the machine, and the versions of what was
# built in the folder BUILD, whose programs and allocators are in PROGRAMS. COMMAND is what measured.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
if [ $# -lt 3 ]; then
    echo "usage: facts.sh BUILD PROGRAMS COMMAND..." >&2
    exit 2
fi
build=$1
programs=$2
shift 2

# cached NAME: what CMake has found or was told.
cached() {
    sed -n "s/^$1:[A-Z]*=//p" "$build/CMakeCache.txt"
}

library_version() {
    sed -n 's/^#define SECURE_MALLOC_VERSION_\(MAJOR\|MINOR\|PATCH\) //p' "$root/include/secure_malloc.h" |
        paste -s -d .
}

# Of the sources that were measured, where they come from a repository: git rev-parse HEAD:src.
tree() {
    tree=$(git -C "$root" rev-parse --short HEAD:./src 2> /dev/null) || return 0
    [ -z "$(git -C "$root" status --porcelain -- src include)" ] || tree="$tree, changed"
    printf ' (src: tree %s)' "$tree"
}

# peer NAME MODULE PACKAGE: its version, by pkg-config or by Debian, if it was built.
peer() {
    grep -qx "$1" "$programs/bench-allocators" || return 0
    version=$(pkg-config --modversion "$2" 2> /dev/null ||
        dpkg-query -W -f '${Version}' "$3" 2> /dev/null || echo '(unknown version)')
    printf ', %s %s' "$1" "$version"
}

model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
system=$(sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\).*/\1/p' /etc/os-release 2> /dev/null || :)
memory=$(awk '/^MemTotal:/ { printf "%.0f", $2 / 1024 / 1024 }' /proc/meminfo)

cores=$(getconf _NPROCESSORS_ONLN)
[ "$(nproc)" -eq "$cores" ] || cores="$(nproc) of $cores"

echo "* Processor: ${model:-$(uname -m)}; cores: $cores; memory: $memory GiB"
echo "* System: $(uname -sr)${system:+, $system}, $(getconf GNU_LIBC_VERSION)"
echo "* Compiler: $("$(cached CMAKE_C_COMPILER)" --version | head -n 1), $(cached CMAKE_BUILD_TYPE)"
printf '* Versions: secure_malloc %s%s' "$(library_version)" "$(tree)"
peer mimalloc mimalloc libmimalloc-dev
peer openssl libcrypto libssl-dev
peer libgcrypt libgcrypt libgcrypt20-dev
peer libsodium libsodium libsodium-dev
peer botan botan-2 libbotan-2-dev
printf '\n'
echo "* Measured: $(date -u +%Y-%m-%d), with \`$*\`"
