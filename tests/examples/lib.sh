# shellcheck shell=sh
# SPDX-License-Identifier: ISC
# What the examples' tests share. Sourced by them, with $test (the test's name in ctest) set. POSIX
# sh; no ps, no pkill, no python.

: "${test:?}"

# Not in TMPDIR, which may be long: a socket's path has 107 bytes at most.
scratch=$(mktemp -d /tmp/example.XXXXXX)
started=

# The processes that this test has started, and nothing else: start adds to the list, ended takes off.
end() {
    for one in $started; do
        kill -KILL "$one" 2> /dev/null || :
    done
    # A daemon whose start was taken for a failure. Only if it is one of ours: it names our folder.
    for file in "$scratch/pid" "$scratch/run/pid"; do
        if [ -s "$file" ] && grep -q -e "$scratch/" "/proc/$(cat "$file")/cmdline" 2> /dev/null; then
            kill -KILL "$(cat "$file")" 2> /dev/null || :
        fi
    done
    # A daemon that went to the background although its start was reported as failed.
    for file in "$scratch/pid" "$scratch"/*/pid; do
        [ ! -s "$file" ] || kill -KILL "$(cat "$file")" 2> /dev/null || :
    done
    rm -rf -- "$scratch"
}
trap end EXIT
trap 'exit 1' HUP INT TERM

started() {
    started="$started $1"
}

ended() {
    still=
    for one in $started; do
        [ "$one" = "$1" ] || still="$still $one"
    done
    started=$still
}

fail() {
    echo "$test: $*" >&2
    if [ -s "$scratch/log" ]; then
        sed 's/^/    /' "$scratch/log" >&2
    fi
    exit 1
}

skip() {
    echo "SKIP: $test: $*"
    exit 77
}

# expect STATUS COMMAND...: its output is in $scratch/out and $scratch/err.
expect() {
    wanted=$1
    shift
    status=0
    "$@" > "$scratch/out" 2> "$scratch/err" < /dev/null || status=$?
    [ "$status" -eq "$wanted" ] ||
        fail "status $status instead of $wanted: $* ($(cat "$scratch/err"))"
}

# said FILE PATTERN: does a line of the output match?
said() {
    grep -q -e "$2" "$scratch/$1" || fail "no line with '$2' in: $(cat "$scratch/$1")"
}

# await WHAT COMMAND...: until it succeeds, ten seconds long.
await() {
    what=$1
    shift
    tries=100
    until "$@" > /dev/null 2>&1 < /dev/null; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "waited in vain: $what"
        sleep 0.1
    done
}

# A process that nobody collects stays as a zombie: that is an end too.
is_gone() {
    [ ! -d "/proc/$1" ] || grep -q '^State:.*Z' "/proc/$1/status"
}

# field PID NAME: the first number of a line of its status.
field() {
    sed -n "s/^$2:[[:space:]]*\([0-9]*\).*/\1/p" "/proc/$1/status"
}

# The default of old kernels is 64 KiB: 16 pages of 4 KiB. Where pages are larger it means as many.
# shellcheck disable=SC2034 # for those who source this
small_limit=$((16 * $(getconf PAGESIZE) / 1024))

# lock_limit KIB: both limits, as far as this process may; false if it may not go there.
lock_limit() {
    # shellcheck disable=SC3045 # not in POSIX, but in dash and bash
    ulimit -l "$1" 2> /dev/null
}
