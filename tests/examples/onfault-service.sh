#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: onfault-service.sh ONFAULT-SERVICE
set -eu

service=$1
test=example.onfault-service
# shellcheck source=lib.sh
. "$(dirname -- "$0")/lib.sh"

[ -z "${EXAMPLES_SANITIZED:-}" ] || skip "the sanitizers turn mlockall off"

# value ROW COLUMN: a number of the table.
value() {
    awk -v row="$1" -v column="$2" 'index($0, row) == 1 { sub(row, ""); print $column; exit }' \
        "$scratch/out"
}

# is_near KIB KIB: within 16 pages, which the program itself may use in between.
is_near() {
    difference=$(($1 - $2))
    [ "${difference#-}" -le "$small_limit" ]
}

check_run() {
    for verdict in 'dropped records read zero' 'kept records are whole' \
        'half of the cache came back' 'the cache is one mapping, locked on fault, all the time'; do
        said out "^$verdict: yes\$"
    done
    full=$(value 'cache full' 3)
    [ "$full" -gt 0 ] || fail "the cache was never resident"
    [ "$(value 'process locked' 3)" -lt "$full" ] || fail "locked all at once, not on fault"
    is_near "$(value 'every second one dropped' 3)" $((full / 2)) || fail "not half the cache is back"
    is_near "$(value 'cache full' 2)" "$(value 'every second one dropped' 2)" ||
        fail "dropping pages has changed what is locked"
    [ "$(value 'every second one dropped' 1)" -lt "$(value 'cache full' 1)" ] || fail "no RSS back"
    [ "$(value 'process locked' 4)" -eq "$(value 'first quarter used again' 4)" ] ||
        fail "the number of mappings has changed"
}

# run_at KIB ARGUMENT...: all of it, or less, or one line that says why not.
run_at() {
    limit=$1
    shift
    status=0
    # shellcheck disable=SC2016 # for the inner shell
    sh -c 'ulimit -l "$0" && exec "$@"' "$limit" "$service" "$@" > "$scratch/out" \
        2> "$scratch/err" < /dev/null || status=$?
    if [ "$status" -eq 77 ]; then
        said err 'the limit on locked memory (ulimit -l)'
        [ "$(wc -l < "$scratch/err")" -eq 1 ] || fail "more than one line"
        return 0
    fi
    [ "$status" -eq 0 ] || fail "status $status: $(cat "$scratch/out" "$scratch/err")"
    check_run
    done=yes
}

expect 0 "$service" --help
expect 2 "$service" --records 0
expect 2 "$service" more
# shellcheck disable=SC3045 # not in POSIX, but in dash and bash
most=$(ulimit -H -l)
done=no
for mode in '' --own-mlockall; do
    # shellcheck disable=SC2086 # none, or one word
    run_at "$most" $mode
    ! (lock_limit 8192) || run_at 8192 $mode
    ! (lock_limit "$small_limit") || run_at "$small_limit" $mode
    ! (lock_limit 0) || run_at 0 $mode
done
[ "$done" = yes ] || skip "at most $most KiB can be locked, too few for a whole process"
