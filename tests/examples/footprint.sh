#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: footprint.sh FOOTPRINT
set -eu

footprint=$1
test=example.footprint
# shellcheck source=lib.sh
. "$(dirname -- "$0")/lib.sh"

# value ROW COLUMN: a number of the table.
value() {
    awk -v row="$1" -v column="$2" \
        '/RSS KiB/ { table = 1 } table && index($0, row) == 1 {
            sub(row, ""); print $column; exit }' "$scratch/out"
}

# The table, the bars and their sense, whatever the size of the burst.
check_picture() {
    for row in before 'at peak' freed trimmed; do
        [ -n "$(value "$row" 5)" ] || fail "the table has no row '$row': $(cat "$scratch/out")"
        [ "$(grep -c "^$row *|[# ]*| [0-9]*\$" "$scratch/out")" -eq 4 ] || fail "not four bars: $row"
    done
    [ -z "$(awk 'length > 80' "$scratch/out")" ] || fail "a line is longer than 80 columns"
    [ "$(value 'at peak' 1)" -gt "$(value before 1)" ] || fail "no growth in RSS"
    [ "$(value 'at peak' 2)" -gt "$(value before 2)" ] || fail "nothing is locked at the peak"
    [ "$(value trimmed 2)" -lt "$(value 'at peak' 2)" ] || fail "secure_trim has unlocked nothing"
}

check_whole_burst() {
    said out '^100000 buffers of 64 bytes$'
    # At most 24 bytes of a buffer are not the caller's, and not a byte of the rest is unlocked.
    [ "$(value 'at peak' 2)" -ge 6250 ] || fail "less is locked than was allocated"
    [ "$(value freed 4)" -gt 0 ] || fail "nothing was purged"
    back=$(sed -n 's/^\([0-9]*\)\.[0-9] % of the growth in RSS .*/\1/p' "$scratch/out")
    [ -z "${EXAMPLES_SANITIZED:-}" ] || return 0 # their shadow memory grows too
    # The library promises 98 for its own memory; RSS also has pages of this program and of libc.
    [ "$back" -ge 97 ] || fail "only $back % of the growth in RSS came back"
}

# run_at KIB: the default burst at this limit. A user's burst may have to be smaller.
run_at() {
    if ! (lock_limit "$1"); then
        echo "SKIP: limit-$1-KiB: the hard limit on locked memory is lower"
        return 0
    fi
    # shellcheck disable=SC2016 # for the inner shell
    expect 0 sh -c 'ulimit -l "$0" && exec "$@"' "$1" "$footprint"
    if grep -q '^scaled down: ' "$scratch/out"; then
        [ "$(id -u)" -ne 0 ] || fail "scaled down, but root has no limit"
        said out "^scaled down: .* of $1 KiB allows [0-9]* of 100000\$"
    else
        check_whole_burst
    fi
    check_picture
}

expect 0 "$footprint" --help
expect 2 "$footprint" --count 0
expect 2 "$footprint" --size x
expect 2 "$footprint" more
expect 0 "$footprint" --count 300 --size 100
said out '^300 buffers of 100 bytes$'
check_picture
run_at "$small_limit"
run_at 8192
