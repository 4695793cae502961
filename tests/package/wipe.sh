#!/bin/sh
# SPDX-License-Identifier: ISC
# No compiler takes the wipes for stores that nobody reads: they are in the object code, in each build
# type that optimises. (What is not optimised is as it is written, and tests see the memory itself.)
set -eu
. "$(dirname "$0")/lib.sh"

needs_object_code

root=$SOURCE

# wipes FOLDER TYPE: builds it; 0 if every wipe is in it. What is missing is in $work/missing.
wipes() {
    object_code "$1" "$2"
    awk -f "$root/tests/package/wipe.awk" "$work/code" > "$work/missing"
}

for type in RelWithDebInfo Release MinSizeRel; do
    wipes "$root" $type || fail "$type: $(cat "$work/missing")"
done

# A check that never fires is no check: without the stores, each function is found.
to_be_broken broken
sed '/^ *\*(wipe_block \*)at = /d' "$root/src/base/wipe.h" > "$work/broken/src/base/wipe.h"
sed '/^ *\*(slot_line \*)(void \*)at = /d' "$root/src/heap/slot_line_avx2.h" > "$work/broken/src/heap/slot_line_avx2.h"
! wipes "$work/broken" RelWithDebInfo || fail "a library that does not wipe passes"
for name in secure_free secure_free_sized slot_free_threaded \
    free_16 free_key free_272 free_528 free_1040; do
    grep -q "^$name: stores 0 zero bytes" "$work/missing" || fail "$name should be found: it does not wipe"
done

# Nor does one branch stand in for another: the keys of one shape are not wiped. What is found is what is
# left.
for shape in 48 KEY LONG_KEY; do
    to_be_broken careless-$shape
    sed "s/^ *shape_wipe(shape, slot.start, end);/if (shape.slack != SLACK_KEY || shape.least != SHAPE_$shape.least) &/" \
        "$root/src/heap/slot.h" > "$work/careless-$shape/src/heap/slot.h"
    ! wipes "$work/careless-$shape" RelWithDebInfo || fail "a library that does not wipe $shape passes"
    left=192
    test $shape != LONG_KEY || left=128
    for name in secure_free secure_free_sized slot_free_threaded; do
        grep -q "^$name: stores $left zero bytes" "$work/missing" ||
            fail "$name should be found: it does not wipe $shape: $(cat "$work/missing")"
    done
done
