#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: counts.sh PROGRAMS
# Counts what does not depend on how busy the machine is, with the programs in the folder PROGRAMS, and
# prints it as Markdown: instructions (valgrind), system calls (strace), and what a purge does inside
# the kernel (perf, as root). What its tool is missing for is left out, and said so.
#
# Everything is the difference of two runs, one of them longer, so that starting and ending cancel.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
root=$(CDPATH='' cd -- "$here/../.." && pwd -P)
program=tests/bench/counts.sh
# shellcheck source=tests/lib.sh
. "$root/tests/lib.sh"

if [ $# -ne 1 ]; then
    say "usage: counts.sh PROGRAMS"
    exit 2
fi
programs=$(CDPATH='' cd -- "$1" && pwd -P)
patience=120

raise_lock_limit
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
trap 'exit 1' HUP INT TERM
cd -- "$scratch" # so that no tool is told a path, whatever is in it

# needs_tool COMMAND PACKAGE
needs_tool() {
    has "$1" || {
        echo "Not counted: needs $1, from the package $2."
        return 1
    }
}

# built NAME...: those of them that are there.
built() {
    for name in "$@"; do
        [ ! -e "$programs/bench-$name.so" ] || echo "$name"
    done
}

# cell ROW COLUMN TEXT
cell() {
    printf '%s\t%s\t%s\n' "$1" "$2" "$3" >> grid
}

print_grid() {
    awk -f "$here/lib.awk" -f "$here/grid.awk" grid
    rm -f -- grid
}

# The rest of a line that someone watches.
progress() {
    if [ -t 2 ]; then
        printf '\r\033[K%s' "$*" >&2
    fi
}

# one N ALLOCATOR WORKLOAD... with the words of $under before it. What it prints is of no use.
one() {
    operations=$1 allocator=$2
    shift 2
    # shellcheck disable=SC2086 # $under is words
    timeout --foreground "$patience" $under "$programs/bench-one" -n "$operations" \
        "$programs/bench-$allocator.so" "$@" > said 2> log < /dev/null &&
        ! grep -q '^cannot' said
}

# ---- instructions ----

# collected N ALLOCATOR WORKLOAD...: prints all instructions of the run.
collected() {
    under="valgrind --tool=callgrind --callgrind-out-file=callgrind"
    one "$@" || return
    awk '/^(summary|totals):/ { total = $2 } END { print total }' callgrind
}

# instructions_of ALLOCATOR WORKLOAD...: prints those of one operation.
instructions_of() {
    allocator=$1
    shift
    fewer=$(collected 20000 "$allocator" "$@") && more=$(collected 120000 "$allocator" "$@") &&
        awk -v fewer="$fewer" -v more="$more" 'BEGIN { printf "%.1f", (more - fewer) / 1e5 }'
}

count_instructions() {
    printf '\n## Instructions an operation\n\n'
    needs_tool valgrind valgrind || return 0
    while read -r words; do
        for name in $(built plain secure_malloc mimalloc null); do
            progress "instructions: $words, $name"
            # shellcheck disable=SC2086 # words
            cell "$words" "$name" "$(instructions_of "$name" $words || echo '-')"
        done
    done << END
pairs 32 0
pairs 64 0
pairs 256 0
pairs 1024 0
replace 1
END
    progress
    print_grid
    printf '\n%s\n%s\n' "Under valgrind, whose processor has not all of this one's instructions: what glibc" \
        "chooses to clear memory with can be another."
}

# ---- system calls ----

# calls_made N FILE ALLOCATOR WORKLOAD...: leaves lines "NAME COUNT" in the file.
calls_made() {
    into=$2
    under="strace -f -c -o strace"
    operations=$1
    shift 2
    one "$operations" "$@" || return
    awk '$4 ~ /^[0-9]+$/ && $NF != "total" { print $NF, $4 }' strace > "$into"
}

# calls_of THREADS ALLOCATOR WORKLOAD...: prints "TOTAL NAME COUNT, NAME COUNT", for a million
# operations of all threads. sched_yield is how the threads of handoff themselves wait.
calls_of() {
    threads=$1
    shift
    calls_made 100000 fewer "$@" && calls_made 1100000 more "$@" &&
        awk -v threads="$threads" -v waits_with="$([ "$2" != handoff ] || echo sched_yield)" '
            waits_with != "" && $1 == waits_with { next }
            NR == FNR { fewer[$1] = $2; next }
            {
                calls = ($2 - fewer[$1]) / threads
                total += calls
                if (calls > 0.5)
                    list = list (list == "" ? "" : ", ") $1 " " int(calls + 0.5)
            }
            END { printf "%d %s\n", (total > 0 ? total + 0.5 : 0), list }' fewer more
}

count_calls() {
    printf '\n## System calls in a million operations\n\n'
    needs_tool strace strace || return 0
    : > which
    while read -r threads words; do
        for name in $(built plain secure_malloc mimalloc); do
            progress "system calls: $words, $name"
            # shellcheck disable=SC2086 # words
            made=$(calls_of "$threads" "$name" $words) || made=-
            cell "$words" "$name" "${made%% *}"
            case $made in
                *' '?*) echo "* $words, $name: ${made#* }" >> which ;;
            esac
        done
    done << END
1 pairs 32 0
1 pairs 65536 0
1 replace 1
2 replace 2
1 handoff
END
    progress
    print_grid
    if [ -s which ]; then
        printf '\n%s\n\n' "Which calls they are:"
        cat -- which
    fi
    printf '\n%s\n%s\n' "Handoff without sched_yield, with which its threads wait for each other." \
        "Threads also meet at barriers, as often in both runs; a few futex calls can remain of that."
}

# ---- inside the kernel ----

# purge_events N WAY PAGES EVENT...: prints how often each event came, one a line.
purge_events() {
    purges=$1 way=$2 pages=$3
    shift 3
    perf stat -x , -o perf "$@" \
        "$programs/bench-purge" -n "$purges" "$way" "$pages" alone > said 2>&1 < /dev/null &&
        [ ! -s said ] || return
    awk -F , '!/^#/ && NF > 2 { print $1 }' perf
}

# count_event NAME EVENT-ARGUMENT...: a column. Not every kernel has every event.
count_event() {
    column=$1
    shift
    while read -r way pages; do
        progress "in the kernel: $column, $way"
        if fewer=$(purge_events 1000 "$way" "$pages" "$@") &&
            more=$(purge_events 11000 "$way" "$pages" "$@"); then
            each=$(awk -v fewer="$fewer" -v more="$more" 'BEGIN {
                if (fewer ~ /^[0-9]+$/ && more ~ /^[0-9]+$/)
                    printf "%.2f", (more - fewer) / 1e4
                else
                    printf "-"
            }')
        else
            each=-
        fi
        cell "$way, $pages pages" "$column" "$each"
    done << END
locked 4
relock 4
each-use 4
batch 64
END
}

count_in_kernel() {
    printf '\n## What a purge does inside the kernel\n\n'
    needs_tool perf linux-perf || return 0
    if ! perf stat -e raw_syscalls:sys_enter true > log 2>&1; then
        echo "Not counted: perf may not trace here; root may, where the kernel has tracepoints."
        return 0
    fi
    count_event "system calls" -e raw_syscalls:sys_enter
    count_event "mmap_lock for writing" -e mmap_lock:mmap_lock_acquire_returned --filter 'write==1'
    count_event "maple tree writes" -e maple_tree:ma_write
    count_event "TLB flushes" -e tlb:tlb_flush
    progress
    print_grid
    printf '\n%s\n%s\n' "Of one purge, the next writes to its pages, and the lock between if there is one." \
        "A batch is of 64 ranges of one page each."
}

count_instructions
count_calls
count_in_kernel
