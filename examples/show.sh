#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: show.sh FOLDER
# Runs the examples that were built in FOLDER, as a user would, and stops at the first thing that is
# not as it should be.
set -eu

bin=$1

# Not in TMPDIR, which may be long: a socket's path has 107 bytes at most.
scratch=$(mktemp -d /tmp/keyd.XXXXXX)

end() {
    # Whatever happened: no daemon stays behind.
    if [ -s "$scratch/pid" ]; then
        kill -TERM "$(cat "$scratch/pid")" 2> /dev/null || :
    fi
    rm -rf -- "$scratch"
}
trap end EXIT
trap 'exit 1' HUP INT TERM

fail() {
    echo "examples: $*" >&2
    exit 1
}

title() {
    printf '\n== %s\n\n' "$1"
}

# sign FILE: prints the signature.
sign() {
    "$bin/keyd-sign" --socket "$scratch/socket" --key first "$1"
}

verify() {
    "$bin/keyd-sign" --socket "$scratch/socket" --key first --verify "$2" "$1"
}

# until_false SECONDS COMMAND...
until_false() {
    tries=$(($1 * 10))
    shift
    while "$@" 2> /dev/null; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

title "keyd: a signing agent whose keys are in secure memory"
echo "The message to be signed." > "$scratch/message"
echo "Another message." > "$scratch/other"
mkdir -m 700 "$scratch/keys"
"$bin/keyd" --keys "$scratch/keys" --make first --socket "$scratch/socket" \
    --daemon --pid-file "$scratch/pid" || fail "keyd does not start"
keyd_pid=$(cat "$scratch/pid")
echo "keyd serves on $scratch/socket, process $keyd_pid"

signature=$(sign "$scratch/message") || fail "keyd does not sign"
echo "signature: $signature"
verdict=$(verify "$scratch/message" "$signature") || fail "the signature does not verify"
echo "verified:  $verdict"
if verify "$scratch/other" "$signature" 2> /dev/null; then
    fail "the signature verifies for another message"
fi
echo "for another message it is wrong, as it should be"

kill -USR1 "$keyd_pid"
until_false 5 sign "$scratch/message" > /dev/null || fail "keyd still signs after SIGUSR1"
echo "after SIGUSR1 keyd has wiped its secrets and signs no more"

kill -TERM "$keyd_pid"
# The socket, not the process id: where nobody collects orphans, that stays.
until_false 5 test -e "$scratch/socket" || fail "keyd does not end, or leaves its socket behind"
echo "after SIGTERM it has ended"

title "footprint: a burst of secrets, and what comes back"
"$bin/footprint" || fail "footprint"

title "onfault-service: pages given back under mlockall(MCL_ONFAULT)"
status=0
"$bin/onfault-service" || status=$?
# 77: its own words say that the limit on locked memory is too small for it.
[ "$status" -eq 0 ] || [ "$status" -eq 77 ] || fail "onfault-service"
