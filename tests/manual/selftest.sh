#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: selftest.sh ROOT
# A check that never fires is no check: each rule of manual.sh is broken once, in a copy, and must be
# named.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
: > "$scratch/failures"

# breaks WORDS FILE SED-SCRIPT: the change alone is found, and named with these words.
breaks() {
    rm -rf "$scratch/root"
    mkdir "$scratch/root"
    cp -R "$root/man" "$root/src" "$root/include" "$scratch/root"
    sed "$3" "$root/$2" > "$scratch/root/$2"
    if cmp -s "$root/$2" "$scratch/root/$2"; then
        echo "selftest: the change to $2 changes nothing: $3"
    elif sh "$here/manual.sh" "$scratch/root" > "$scratch/out"; then
        echo "selftest: this change to $2 should be found: $3"
    elif ! grep -q -F -e "$1" "$scratch/out"; then
        echo "selftest: \"$1\" should be said of the change to $2: $3"
        cat "$scratch/out"
    else
        return 0
    fi
    echo "$1" >> "$scratch/failures"
}

root=$1
breaks "> secure_trim" src/secure_malloc.map '/secure_trim/d'
breaks "names other functions" man/secure_malloc.3 '/^\.Nm secure_trim/d'
breaks "the prototypes" man/secure_malloc.3 's/^\.Fn secure_owns .*/.Fn secure_owns "void *ptr"/'
breaks "does not speak of secure_memdup" man/secure_malloc.3 's/^\.Fn secure_memdup$/It/'
breaks "do not list: double free" man/secure_malloc.7 's/^\.It double free/.It twofold free/'
breaks "do not list: no more" src/api/state.c 's/^\(  *\)line_text(&line, reason);/&\
    line_text(\&line, "no "\
        "more");/'
breaks "do not list: all is lost" src/api/process.c 's/report_notice("the process/report_notice("all is lost");&/'
breaks "do not list: mremap" src/os/linux_pages.c 's/"munmap"/"mremap"/'
breaks "do not list: no such thing" src/policy/options.c 's/"no such option"/"no such thing"/'
breaks "do not list: on_fork=drop" man/secure_malloc.7 's/keep | wipe | drop$/keep | wipe/'
breaks "do not list: turn_limit" src/policy/options.c 's/"purge_limit"/"turn_limit"/'
breaks "does not speak of SECURE_FORK_DROP" man/secure_malloc.3 's/SECURE_FORK_DROP//'
breaks "does not speak of swapped_bytes" man/secure_malloc.3 '/swapped_bytes/d'
breaks "the counters at exit" src/api/see.c '/{"forks", stats->forks}/d'
breaks "do not list: mremap" src/os/linux_calls.c 's/SYS_munlock/SYS_mremap/'
breaks "< MADV_FREE" src/os/linux_purge.c 's/MADV_DONTNEED/MADV_FREE/'
breaks "> MAP_STACK" man/secure_malloc.7 's/|MAP_FIXED,/|MAP_STACK,/'
breaks "another HOLES_MAX" src/pages/release.c 's/HOLES_MAX = 256/HOLES_MAX = 257/'
if command -v mandoc > /dev/null; then
    breaks "mandoc is not content" man/secure_malloc.7 's/^\.Sh CAVEATS/.Shh CAVEATS/'
fi

[ ! -s "$scratch/failures" ]
