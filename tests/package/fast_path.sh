#!/bin/sh
# SPDX-License-Identifier: ISC
# What the fast path costs, in the object code: no call and no locked instruction, but for the one step in
# which a free decides, where there are threads, who was first. (A second one there would go unseen by
# every other test, and so would none: who loses the race is seen only where there is one.) And what is
# fetched ahead: compilers drop what has no effect but that.
set -eu
. "$(dirname "$0")/lib.sh"

needs_object_code

# count FUNCTION PATTERN: how many instructions match of the functions of that name.
count() {
    awk -v name="$1" -v pattern="$2" '
        /^[0-9a-f]+ <.*>:$/ {
            gsub(/[<>:]/, "", $2)
            sub(/[.](constprop|isra|part)[.][0-9]+$/, "", $2)
            inside = $2 == name
            found += inside
            next
        }
        inside { sub(/^[^\t]*\t/, ""); sub(/[ \t]*[#<].*/, ""); matching += $0 ~ pattern }
        END { print found ? matching + 0 : "no such function" }' "$work/code"
}

# With whatever prefix: a call that gets at a thread's variable has several.
call='(^|[ \t])call'
# An xchg with memory is locked without saying so.
locked='(^|[ \t])(lock|mfence)|(^|[ \t])xchg.*[(]'

object_code "$SOURCE" RelWithDebInfo
for name in secure_malloc secure_free secure_free_sized \
    allocate_other allocate_16 allocate_key allocate_272 allocate_528 allocate_1040 allocate_long \
    free_other free_16 free_key free_272 free_528 free_1040; do
    test "$(count $name "$locked")" = 0 || fail "$name: locked instructions: $(count $name "$locked")"
    test "$(count $name "$call")" = 0 || fail "$name: calls: $(count $name "$call")"
done
for pattern in "$locked" '^lock cmpxchg'; do
    found=$(count slot_free_threaded "$pattern")
    test "$found" = 1 || fail "slot_free_threaded: $pattern: $found times, not once"
done
test "$(count slot_free_threaded "$call")" = 0 || fail "slot_free_threaded calls"
test "$(count slab_pick '^prefetch')" -ge 4 || fail "slab_pick: prefetches: $(count slab_pick '^prefetch')"
test "$(count slot_free_full '^prefetch')" -ge 2 ||
    fail "slot_free_full: prefetches: $(count slot_free_full '^prefetch')"

# A check that never fires is no check.
test "$(count slab_take "$call")" -ge 1 || fail "slab_take calls others, and no call is found"
to_be_broken broken
sed 's/^    if (!threads) {/    if (true) {/' "$SOURCE/src/heap/slot.h" > "$work/broken/src/heap/slot.h"
object_code "$work/broken" RelWithDebInfo
test "$(count slot_free_threaded "$locked")" = 0 || fail "what is broken passes"
