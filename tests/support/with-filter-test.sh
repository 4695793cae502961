#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: with-filter-test.sh WITH-FILTER
set -eu

with_filter=$1

fail() {
    echo "with-filter-test: $*" >&2
    exit 1
}

"$with_filter" mlock2=ENOSYS madvise:24=EINVAL process_madvise:24=EPERM -- true ||
    fail "cannot start a program"

status=0
"$with_filter" mlock2=ENOSYS -- sh -c 'exit 3' || status=$?
[ "$status" -eq 3 ] || fail "exit status $status instead of the program's 3"

for wrong in mlock2 mlock2=EWHAT nosuchcall=EPERM madvise:x=EPERM madvise:=EPERM mlock2:1=EPERM; do
    status=0
    "$with_filter" "$wrong" -- true 2> /dev/null || status=$?
    [ "$status" -eq 125 ] || fail "$wrong: exit status $status instead of 125"
done
