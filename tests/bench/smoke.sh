#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: smoke.sh PROGRAMS ALLOCATOR...
# Does the benchmark work? Each workload once for each of the allocators, which were built; then every
# report. Whether a number is a good one is not asked: a machine that runs tests measures nothing.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
programs=$1
shift

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
out="$scratch/out of it"

fail() {
    echo "smoke: $*" >&2
    exit 1
}

# refused COMMAND...: with these words it says how it is used.
refused() {
    status=0
    "$@" > "$scratch/said" 2> "$scratch/log" || status=$?
    [ "$status" -eq 2 ] || fail "ended with $status, not 2: $*"
    [ -s "$scratch/log" ] || fail "does not say how it is used: $*"
    [ ! -s "$scratch/said" ] || fail "refused, but has a result: $*"
}

refused "$programs/bench-one"
refused "$programs/bench-one" "$programs/bench-none.so" pairs 32 0
refused "$programs/bench-one" "$programs/bench-plain.so" pairs 32
refused "$programs/bench-one" "$programs/bench-plain.so" replace one
refused "$programs/bench-one" -s never "$programs/bench-plain.so" handoff
refused "$programs/bench-purge" locked 4
refused "$programs/bench-purge" locked 257 alone
refused "$programs/bench-purge" somehow 4 alone
refused sh "$here/measure.sh" "$programs" "$out" --slow
refused sh "$here/measure.sh" "$programs" "$out" --rounds 0

# A purge that is counted says nothing, unless it cannot be had here.
"$programs/bench-purge" -n 3 locked 4 alone > "$scratch/said"
[ ! -s "$scratch/said" ] || grep -q '^cannot ' "$scratch/said" || fail "bench-purge -n has said something"

sh "$here/measure.sh" "$programs" "$out" --smoke > "$scratch/said" 2> "$scratch/log" || {
    cat -- "$scratch/log" >&2
    fail "measure.sh failed"
}
cmp -s "$scratch/said" "$out/tables.md" || fail "measure.sh does not print its tables"
awk -v built="$*" -f "$here/lib.awk" -f "$here/smoke.awk" \
    "$out/raw.csv" report=results "$out/results.csv" report=tables "$out/tables.md" ||
    fail "see above"

if command -v gnuplot > /dev/null; then
    for picture in pairs replace handoff burst keys latency phases; do
        grep -q '</svg>' "$out/$picture.svg" || fail "$picture.svg is not whole"
    done
fi
