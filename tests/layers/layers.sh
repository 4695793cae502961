#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: layers.sh SRC
# The rules of the house, checked on every file of src/: who includes whom, which folder may call
# what, how long things get. Prints "file:line: rule: what" for each breach. The rules and their
# reasons are in src/README.md; selftest.sh breaks each of them once.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd -- "$1"

find . -name '*.[ch]' | sed 's|^\./||' | LC_ALL=C sort > "${TMPDIR:-/tmp}/layers.$$"
trap 'rm -f "${TMPDIR:-/tmp}/layers.$$"' EXIT
set --
while IFS= read -r file; do
    set -- "$@" "$file"
done < "${TMPDIR:-/tmp}/layers.$$"
if [ $# -eq 0 ]; then
    echo "layers.sh: no sources in $(pwd)" >&2
    exit 1
fi
status=0
awk -f "$here/layers.awk" "$@" || status=1

# The list is by hand: what is forgotten there is not built, and not tested.
if [ -f CMakeLists.txt ]; then
    for file in "$@"; do
        case $file in
            *.c) grep -E -q "^ *($file|target_sources\(secure_malloc PRIVATE $file\))\$" CMakeLists.txt || {
                echo "$file:1: source list: not in src/CMakeLists.txt"
                status=1
            } ;;
        esac
    done
fi
exit $status
