#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: show-test.sh SHOW FOLDER
# What examples/run.sh shows, checked: a signature that verifies, a table, and how it ends.
set -eu

shown=$(sh "$1" "$2") || {
    echo "$shown"
    exit 1
}
echo "$shown"

# shows PATTERN
shows() {
    echo "$shown" | grep -E -q "$1" || {
        echo "show-test: no line matches $1" >&2
        exit 1
    }
}

shows '^signature: [0-9a-f]{128}$'
shows '^verified:  OK$'
shows '^after SIGUSR1 '
shows '^after SIGTERM '
shows 'at peak'
shows 'trimmed'
