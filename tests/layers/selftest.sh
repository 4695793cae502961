#!/bin/sh
# SPDX-License-Identifier: ISC
# A check that never fires is no check: each rule of layers.sh is broken once, in a tree of its own,
# and must be named; a clean tree must pass.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# A file, not a variable: breaks and passes are ends of pipes, and so subshells.
: > "$scratch/failures"

# breaks RULE FILE < contents: the file alone breaks this rule, and no other.
breaks() {
    rm -rf "$scratch/src"
    mkdir -p "$scratch/src/$(dirname "$2")"
    cat > "$scratch/src/$2"
    if sh "$here/layers.sh" "$scratch/src" > "$scratch/out"; then
        echo "selftest: $2 should break the rule \"$1\":"
    elif ! grep -q "^$2:[0-9]*: $1: " "$scratch/out" || [ "$(wc -l < "$scratch/out")" -ne 2 ]; then
        echo "selftest: $2 should break \"$1\" and nothing else:"
        cat "$scratch/out"
    else
        return 0
    fi
    cat "$scratch/src/$2"
    echo "$1" >> "$scratch/failures"
}

passes() {
    rm -rf "$scratch/src"
    mkdir -p "$scratch/src/$(dirname "$1")"
    cat > "$scratch/src/$1"
    if ! sh "$here/layers.sh" "$scratch/src"; then
        echo "selftest: $1 should pass"
        echo "$1" >> "$scratch/failures"
    fi
}

line() {
    printf '%s\n' "$@"
}

line '#include "heap/slab.h"'        | breaks include pages/a.c
line '#include "api/init.h"'         | breaks include heap/a.c
line '#include "pages/region.h"'     | breaks include os/a.c
line '#include "os/os.h"'            | breaks include policy/a.c
line '#include "policy/options.h"'   | breaks include base/a.c
line '#include "slab.h"'             | breaks include heap/a.c
line '#include "../os/os.h"'         | breaks include heap/a.c
line '#include <stdio.h>'            | breaks header os/a.c
line '#include <sys/mman.h>'         | breaks header pages/a.c
line 'int x = 0;'                    | breaks folder misc/a.c
line 'mlock2(p, n, 1);'              | breaks "system call" pages/a.c
line 'f = madvise;'                  | breaks "system call" base/a.c
line '#define CALL madvise'          | breaks "system call" heap/a.c
line 'write(2, p, n);'               | breaks call heap/a.c
line 'abort();'                      | breaks call api/a.c
line 'read (fd, p, n);'              | breaks call base/a.c
line 'syscall(SYS_mlock, p, n);'      | breaks call base/a.c
line 'syscall(SYS_write, p, n);'      | breaks call heap/a.c
line 'pthread_atfork(a, b, c);'      | breaks call heap/a.c
line 'pthread_mutex_lock(&m);'       | breaks call pages/a.c
line 'pthread_yield();'              | breaks call base/a.c
line 'getenv("X");'                  | breaks call api/a.c
line 'p = malloc(1);'                | breaks call os/a.c
line 'qsort(p, 1, 1, f);'            | breaks call policy/a.c
line 'snprintf(p, 1, "");'           | breaks call base/a.c
line 'errno = ENOMEM;'               | breaks errno heap/a.c
line '#ifdef __linux__' '#endif'     | breaks conditional heap/a.c
line '#if SECURE_MALLOC_DEBUG && FAST' '#endif' | breaks conditional base/a.h
line '#ifndef HEAP_A_H' '#endif' '#ifndef SLOT_LINE' '#endif' | breaks conditional heap/a.h
line '#ifndef SLOT_SHAPE_H' '#endif' '#ifdef __AVX2__' '#endif' | breaks conditional heap/slot_shape.h
awk 'BEGIN { for (i = 0; i < 321; i++) print "int x;" }' | breaks length heap/a.c
awk 'BEGIN { print "int f(void)\n{"; for (i = 0; i < 61; i++) print "    x();"; print "}" }' |
    breaks length heap/a.c
line 'int f(int a, int b, int c,' '      int d, int e, int f)' '{' '}' | breaks parameters heap/a.c

line '#ifndef HEAP_A_H' '#define HEAP_A_H' '#include <errno.h>' '#include <secure_malloc.h>' \
    '#include "heap/b.h"' '#include "pages/b.h"' '#include "os/os.h"' '#include "policy/b.h"' \
    '#include "base/b.h"' '#if defined(__SANITIZE_THREAD__)' '#endif' '#ifdef SECURE_MALLOC_DEBUG' \
    '#endif' '/* mmap, malloc(1) and errno' ' * in a comment */' 'say("free(x) \" mlock(x)"); // mmap' \
    'slab->free(x);' 'slab.write(x);' 'unsigned free;' '#endif' | passes heap/a.h
line '#ifndef SLOT_SHAPE_H' '#define SLOT_SHAPE_H' '#ifndef SLOT_LINE' '#define SLOT_LINE 16' '#endif' '#endif' |
    passes heap/slot_shape.h
line 'syscall(SYS_write, 2, p, n);' 'int saved = errno;' | passes base/a.c
line '#if __linux__' '#endif' 'e = errno;' 'mmap(0);' 'read(0);' | passes os/a.c
line 'int f(int (*g)(int, int, int), int b, int c)' '{' '    return h(1, 2, 3, 4, 5, 6, 7);' '}' |
    passes heap/a.c
awk 'BEGIN { for (i = 0; i < 320; i++) print "int x;" }' | passes heap/a.c
awk 'BEGIN { print "int f(void)\n{"; for (i = 0; i < 60; i++) print "    x();"; print "}" }' |
    passes heap/a.c

passes heap/a.c < /dev/null
line '        heap/another.c' 'set_source_files_properties(heap/a.c PROPERTIES SKIP_LINTING ON)' \
    > "$scratch/src/CMakeLists.txt"
if sh "$here/layers.sh" "$scratch/src" > /dev/null; then
    echo "selftest: a file that is not in the source list should not pass"
    echo list >> "$scratch/failures"
fi
echo "    target_sources(secure_malloc PRIVATE heap/a.c)" >> "$scratch/src/CMakeLists.txt"
if ! sh "$here/layers.sh" "$scratch/src"; then
    echo "selftest: a file that the list adds for a platform should pass"
    echo list >> "$scratch/failures"
fi

mkdir "$scratch/empty"
if sh "$here/layers.sh" "$scratch/empty" 2> /dev/null; then
    echo "selftest: an empty tree should not pass"
    echo empty >> "$scratch/failures"
fi

[ ! -s "$scratch/failures" ]
