#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: coverage.sh GCOV SRC BUILD
# Prints the lines of each file under SRC that no test reached, then the total. The same file is
# compiled more than once (the library, the objects that unit tests look into): a line that any of
# them ran counts as run.
set -eu

gcov=$1 src=$2 build=$3
scratch=$build/coverage
rm -rf "$scratch"
mkdir -p "$scratch"
cd "$scratch"

find "$build" -name '*.gcda' > counters
if [ ! -s counters ]; then
    echo "coverage.sh: no counters in $build: run the tests first" >&2
    exit 1
fi
while IFS= read -r counter; do
    "$gcov" --stdout "$counter" 2> messages || { cat messages >&2; exit 1; }
done < counters > lines

# gcov's lines are "count:number:text"; "-" is no code, "#####" and "=====" code that never ran.
awk -v src="$src/" '
    /^ *-: *0:Source:/ {
        file = $0
        sub(/^ *-: *0:Source:/, "", file)
        wanted = index(file, src) == 1
        file = substr(file, length(src) + 1)
        next
    }
    wanted {
        split($0, field, ":")
        count = field[1]
        gsub(/[ *]/, "", count)
        line = field[2] + 0
        if (line == 0 || count == "-")
            next
        if (!((file, line) in ran)) {
            ran[file, line] = 0
            files[file] = 1
            last[file] = line > last[file] ? line : last[file]
        }
        if (count !~ /^[#=]+$/)
            ran[file, line] = 1
    }
    END {
        for (file in files) {
            missed = ""
            of = hit = 0
            for (line = 1; line <= last[file]; line++) {
                if (!((file, line) in ran))
                    continue
                of++
                if (ran[file, line]) hit++
                else missed = missed " " line
            }
            total += of
            total_hit += hit
            printf "%6.1f%% %5d lines  %s%s\n", 100 * hit / of, of, file, missed == "" ? "" : "  not:" missed | "sort -k4"
        }
        close("sort -k4")
        if (total == 0) {
            print "coverage.sh: no line of " src " was compiled with counters" > "/dev/stderr"
            exit 1
        }
        printf "line coverage of src/: %.1f%% (%d of %d lines)\n", 100 * total_hit / total, total_hit, total
    }' lines
