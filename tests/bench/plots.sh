#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: plots.sh RESULTS.CSV OUT [svg | png]
# Draws a picture of each workload in the folder OUT: pairs.svg and so on. Needs gnuplot.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: plots.sh RESULTS.CSV OUT [svg | png]" >&2
    exit 2
fi
format=${3:-svg}

# The folder is where gnuplot runs, so that its name, whatever is in it, is in no script.
script=$(mktemp)
trap 'rm -f -- "$script"' EXIT
trap 'exit 1' HUP INT TERM
awk -v format="$format" -f "$here/lib.awk" -f "$here/plots.awk" "$1" > "$script"
cd -- "$2"
gnuplot "$script"
