#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: measure.sh PROGRAMS OUT [--quick | --smoke] [--rounds N]
# Runs all workloads with the programs and the allocators in the folder PROGRAMS. Leaves in the folder OUT:
# raw.csv, each number of each turn; results.csv, medians and ratios; tables.md, which it also prints;
# and pictures, if gnuplot is there.
#
#   --quick   fewer cases, each shorter: under a minute
#   --smoke   each workload, as short as it gets: its numbers say nothing
#
# Each number comes from a process of its own. The allocators take turns, a few in each round, so that
# what the machine does beside meets all of them.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
root=$(CDPATH='' cd -- "$here/../.." && pwd -P)
program=tests/bench/measure.sh
# shellcheck source=tests/lib.sh
. "$root/tests/lib.sh"

usage() {
    say "usage: measure.sh PROGRAMS OUT [--quick | --smoke] [--rounds N]"
    exit 2
}

[ $# -ge 2 ] || usage
programs=$1
out=$2
shift 2
depth=full
rounds=
while [ $# -gt 0 ]; do
    case $1 in
        --quick | --smoke) depth=${1#--} ;;
        --rounds)
            [ $# -ge 2 ] || usage
            shift
            rounds=$1
            ;;
        *) usage ;;
    esac
    shift
done

# seconds: for one measurement of time, shared by the turns of a round.
# patience: a process that takes longer is ended, and has no result. The fixed pools of some peers get
# slower with each live buffer.
case $depth in
    full) seconds=0.4 most_turns=5 patience=60 default_rounds=5 ;;
    quick) seconds=0.05 most_turns=1 patience=2 default_rounds=3 ;;
    smoke) seconds=0.001 most_turns=2 patience=2 default_rounds=1 ;;
esac
rounds=${rounds:-$default_rounds}
case $rounds in
    0* | *[!0-9]*) usage ;;
esac

raise_lock_limit
# shellcheck disable=SC3045 # not in POSIX, but in dash and bash
ulimit -S -c 0 2> /dev/null || : # a crash is a result here
mkdir -p -- "$out"
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

# ---- what is measured ----

# pairs SIZE...
pairs() {
    for size in "$@"; do
        for live in 0 4; do
            echo "pairs $size $live"
        done
    done
}

purges() {
    for pages in "$@"; do
        echo "purge $pages alone"
    done
}

# One case a line. What has no case by its side in the same round, as a count of threads or keys, comes
# next to what it is compared with.
cases() {
    case $depth in
        full)
            pairs 16 32 64 256 1024 4096 16384 65536 262144 1048576
            printf 'replace %s\n' 1 2 4 8
            printf '%s\n' handoff burst
            printf 'keys %s\n' 10000 1000000 10000000
            printf '%s\n' latency phases
            purges 1 4 16 64 256
            purges 1 4 16 64 256 | sed 's/alone/beside/'
            ;;
        quick)
            pairs 32 1024 16384
            printf 'replace %s\n' 1 2
            printf '%s\n' handoff burst 'keys 10000' latency phases
            purges 1 4 64
            ;;
        smoke)
            pairs 32
            printf 'replace %s\n' 1 2
            printf '%s\n' handoff burst 'keys 10000' latency phases
            purges 1 64
            echo 'purge 1 beside'
            ;;
    esac
}

# contenders WORKLOAD CASE: allocators, or the ways of giving pages back. A batch is of 64 pages.
contenders() {
    case "$1 $2" in
        'purge 64 '*) echo 'locked relock each-use batch' ;;
        purge*) echo 'locked relock each-use' ;;
        *) echo "$allocators" ;;
    esac
}

# rotated N WORD...: the words, from another one on for each N, so that none is always first or last.
rotated() {
    by=$(($1 % ($# - 1)))
    shift
    while [ "$by" -gt 0 ]; do
        first=$1
        shift
        set -- "$@" "$first"
        by=$((by - 1))
    done
    echo "$@"
}

# turns WORKLOAD: processes of each allocator in a round. Where steps take nanoseconds, the addresses that
# the kernel happens to give a process can double their time, so there it is not one process that speaks
# for a round. The others' time goes to pages, or to seconds of work.
turns() {
    case $1 in
        pairs | replace | handoff | latency | burst) echo "$most_turns" ;;
        *) echo 1 ;;
    esac
}

# ---- one measurement ----

# row METRIC VALUE
row() {
    printf '%s,%s,%s,%s,%s,%s\n' "$round.$turn" "$workload" "$case" "$contender" "$1" "$2" >> "$out/raw.csv"
}

# What cannot be done in one turn is not tried in the next.
cannot() {
    printf '%s\n' "$1" > "$scratch/cannot $workload $case $contender"
    row cannot "\"$(printf '%s' "$1" | sed 's/"/""/g')\""
}

# The first thing that the process complained of, after a colon.
complaint() {
    sed -n '1s/^/: /p' "$scratch/err"
}

# Ten million keys are not for those who take seconds over one million. Succeeds and prints why, if so.
is_too_much() {
    [ "$workload $case" = 'keys 10000000' ] || return 1
    if [ -e "$scratch/cannot keys 1000000 $contender" ]; then
        echo "with a tenth of them: $(cat -- "$scratch/cannot keys 1000000 $contender")"
        return
    fi
    awk -F , -v allocator="$contender" '
        $2 == "keys" && $3 == 1000000 && $4 == allocator && $5 == "ns" { ns = $6 }
        END {
            if (ns < 3000)
                exit 1
            printf "not tried, as a tenth of them took %.0f s\n", ns / 1000
        }' "$out/raw.csv"
}

run_program() {
    # case is words, and so are its numbers.
    # shellcheck disable=SC2086
    if [ "$workload" = purge ]; then
        timeout --foreground "$patience" "$programs/bench-purge" -s "$turn_seconds" "$contender" $case
    else
        timeout --foreground "$patience" "$programs/bench-one" -s "$turn_seconds" \
            "$programs/bench-$contender.so" "$workload" $case
    fi
}

measure() {
    if [ -e "$scratch/cannot $workload $case $contender" ]; then
        cannot "$(cat -- "$scratch/cannot $workload $case $contender")"
        return
    fi
    if reason=$(is_too_much); then
        cannot "$reason"
        return
    fi
    status=0
    run_program > "$scratch/out" 2> "$scratch/err" < /dev/null || status=$?
    if [ "$status" -eq 124 ]; then
        cannot "took longer than $patience s"
    elif [ "$status" -gt 128 ]; then
        cannot "killed by signal $((status - 128))$(complaint)"
    elif [ "$status" -ne 0 ]; then
        cannot "ended with status $status$(complaint)"
    elif [ ! -s "$scratch/out" ]; then
        cannot "ended without a result"
    else
        while read -r metric value; do
            if [ "$metric" = cannot ]; then
                cannot "$value"
            else
                row "$metric" "$value"
            fi
        done < "$scratch/out"
    fi
}

# ---- all of them ----

# Someone who watches sees each step; a log gets a line for each workload.
progress() {
    if [ -t 2 ]; then
        printf '\r\033[K%s' "$*" >&2
    fi
}

# One a line, plain first, as all are compared with it. Not the objects that are there: one whose library
# is gone stays in a build folder.
[ -s "$programs/bench-allocators" ] || {
    say "there is no bench-allocators in $programs"
    exit 2
}
allocators=$(cat -- "$programs/bench-allocators")
cases > "$scratch/cases"
echo turn,workload,case,allocator,metric,value > "$out/raw.csv"

round=1
while [ "$round" -le "$rounds" ]; do
    last=
    while read -r workload case <&3; do
        if [ "$workload" != "$last" ] && [ ! -t 2 ]; then
            say "round $round of $rounds: $workload"
        fi
        last=$workload
        turns=$(turns "$workload")
        turn_seconds=$(awk -v seconds="$seconds" -v turns="$turns" 'BEGIN { print seconds / turns }')
        turn=1
        while [ "$turn" -le "$turns" ]; do
            # shellcheck disable=SC2046 # words are meant
            for contender in $(rotated $(((round - 1) * turns + turn - 1)) $(contenders "$workload" "$case")); do
                progress "round $round of $rounds: $workload $case, $contender"
                measure
            done
            turn=$((turn + 1))
        done
    done 3< "$scratch/cases"
    round=$((round + 1))
done
progress

# ---- the report ----

awk -f "$here/lib.awk" -f "$here/results.awk" "$out/raw.csv" > "$out/results.csv"
awk -f "$here/lib.awk" -f "$here/targets.awk" "$out/results.csv" > "$out/tables.md"
awk -f "$here/lib.awk" -f "$here/tables.awk" "$out/results.csv" >> "$out/tables.md"
cat -- "$out/tables.md"
if has gnuplot; then
    sh "$here/plots.sh" "$out/results.csv" "$out"
fi
