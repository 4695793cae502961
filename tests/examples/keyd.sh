#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: keyd.sh KEYD KEYD-SIGN KEYD-HOSTILE
# keyd and keyd-sign as their users meet them.
set -eu

keyd=$1 keyd_sign=$2 keyd_hostile=$3
test=example.keyd
# shellcheck source=lib.sh
. "$(dirname -- "$0")/lib.sh"

keys=$scratch/keys
socket=$scratch/socket
message=$scratch/message
mkdir -m 700 "$keys"
printf 'to be signed' > "$message"

limit=

# start ARGUMENT...: keyd in the foreground, at the limit, in KiB, if one is set; its process id is
# in $pid.
start() {
    (
        [ -z "$limit" ] || lock_limit "$limit"
        exec "$keyd" --keys "$keys" --socket "$socket" --pid-file "$scratch/pid" --timeout 1 "$@"
    ) > "$scratch/log" 2>&1 < /dev/null &
    pid=$!
    started "$pid"
    await "keyd listens" "$keyd_sign" --socket "$socket" --list
}

# stop SIGNAL: it must end with 0 and take its files away.
stop() {
    kill "-$1" "$pid"
    status=0
    wait "$pid" || status=$?
    ended "$pid"
    [ "$status" -eq 0 ] || fail "keyd ended with $status after SIG$1"
    [ ! -e "$socket" ] || fail "keyd left its socket behind"
    [ ! -e "$scratch/pid" ] || fail "keyd left its pid file behind"
}

sign() {
    "$keyd_sign" --socket "$socket" --key "$1" "$message"
}

# Does keyd-sign end with this status?
signs_with() {
    status=0
    sign "$2" > /dev/null 2>&1 || status=$?
    [ "$status" -eq "$1" ]
}

is_listed() {
    "$keyd_sign" --socket "$socket" --list 2> /dev/null | grep -q "^$1 "
}

# RFC 8032, section 7.1, test 2: a judge that is not libsodium.
known_seed='\114\315\010\233\050\377\226\332\235\266\303\106\354\021\116\017\133\212\061\237\065\253\246\044\332\214\366\355\117\270\246\373'
known_key=3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c
known_signature=92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00

check_usage() {
    expect 0 "$keyd" --help
    said out '^Usage: keyd '
    expect 0 "$keyd_sign" --help
    said out '^Usage: keyd-sign '
    expect 2 "$keyd"
    expect 2 "$keyd" --keys "$keys"
    expect 2 "$keyd" --keys "$keys" --make ../evil
    expect 2 "$keyd" --keys "$keys" --socket "$socket" --threads 0
    expect 2 "$keyd" --keys keys --socket "$socket" --daemon
    expect 2 "$keyd" --nonsense
    expect 2 "$keyd_sign" --socket "$socket"
    expect 2 "$keyd_sign" --socket "$socket" --key a --list
    expect 3 "$keyd_sign" --socket "$socket" --list
    [ "$(wc -l < "$scratch/err")" -eq 1 ] || fail "more than one line of error"
}

check_make() {
    expect 0 "$keyd" --keys "$keys" --make one
    [ -n "$(find "$keys/one" -perm 0600)" ] || fail "a new key's mode is not 0600"
    [ "$(wc -c < "$keys/one")" -eq 32 ] || fail "a new key does not have 32 bytes"
    [ "$(ls -A "$keys")" = one ] || fail "something else is left beside the new key"
    cp -p "$keys/one" "$scratch/copy"
    expect 0 "$keyd" --keys "$keys" --make one --make two
    cmp -s "$keys/one" "$scratch/copy" || fail "--make has replaced a key"
    cmp -s "$keys/one" "$keys/two" && fail "two keys are the same"
    rm "$scratch/copy"
}

# refused NAME PATTERN: keyd must not start with this file, and say why.
refused() {
    expect 3 "$keyd" --keys "$keys" --socket "$socket"
    said err "$1: $2"
    rm -f "$keys/$1"
}

check_bad_keys() {
    cp -p "$keys/one" "$keys/open"
    chmod 640 "$keys/open"
    refused open '.*mode must be 0600'
    (umask 077 && printf 'short' > "$keys/short")
    refused short 'not 32 bytes'
    ln -s one "$keys/link"
    refused link '.*symbolic link'
    mkfifo -m 600 "$keys/fifo"
    refused fifo 'not a regular file'
    cp -p "$keys/one" "$keys/a b"
    refused 'a b' 'not a name'
    chmod 770 "$keys"
    expect 3 "$keyd" --keys "$keys" --socket "$socket"
    chmod 700 "$keys"
}

check_signatures() {
    # shellcheck disable=SC2059 # the seed is written in the format's language
    (umask 077 && printf "$known_seed" > "$keys/known")
    start
    is_listed one || fail "a key is not listed"
    "$keyd_sign" --socket "$socket" --list | grep -qx "known $known_key" || fail "a wrong public key"
    [ "$(printf r | "$keyd_sign" --socket "$socket" --key known)" = "$known_signature" ] ||
        fail "not the signature that RFC 8032 has"
    expect 0 "$keyd_sign" --socket "$socket" --key one "$message"
    signature=$(cat "$scratch/out")
    expect 0 "$keyd_sign" --socket "$socket" --key one --verify "$signature" "$message"
    said out '^OK$'
    expect 6 "$keyd_sign" --socket "$socket" --key one --verify "$signature" /dev/null
    expect 6 "$keyd_sign" --socket "$socket" --key two --verify "$signature" "$message"
    expect 2 "$keyd_sign" --socket "$socket" --key two --verify 00 "$message"
    expect 4 "$keyd_sign" --socket "$socket" --key three "$message"
    expect 1 "$keyd_sign" --socket "$socket" --key one "$scratch/nothing"
}

# Clients beside each other, each with its key and its message.
check_parallel() {
    clients=
    for client in 1 2 3 4 5 6 7 8; do
        (
            key=one
            [ $((client % 2)) -eq 0 ] || key=two
            printf 'from client %s' "$client" > "$scratch/message.$client"
            for round in 1 2 3 4 5; do
                signed=$("$keyd_sign" --socket "$socket" --key "$key" "$scratch/message.$client")
                "$keyd_sign" --socket "$socket" --key "$key" --verify "$signed" \
                    "$scratch/message.$client" > /dev/null || exit "$round"
            done
        ) &
        clients="$clients $!"
    done
    for client in $clients; do
        wait "$client" || fail "a signature made beside others does not verify"
    done
}

check_signals() {
    "$keyd" --keys "$keys" --make three
    mv "$keys/two" "$keys/.two"
    kill -HUP "$pid"
    await "SIGHUP adds a key" is_listed three
    signs_with 0 three || fail "a new key does not sign"
    signs_with 4 two || fail "a key signs although its file is gone"
    kill -USR1 "$pid"
    await "SIGUSR1 stops signatures" signs_with 5 one
    is_listed one || fail "no list after SIGUSR1"
    signs_with 5 three || fail "a key signs after SIGUSR1"
    mv "$keys/.two" "$keys/two"
    kill -HUP "$pid"
    await "SIGHUP brings the keys back" signs_with 0 one
    signs_with 0 two || fail "a key that is back does not sign"
    # A bad file costs its own key, no other.
    chmod 644 "$keys/three"
    kill -HUP "$pid"
    await "SIGHUP leaves a bad key out" signs_with 4 three
    signs_with 0 one || fail "a bad file has cost another key"
    rm -f "$keys/three"
}

# Secrets come and go under clients that sign: each gets a signature that verifies, or a refusal.
check_storm() {
    clients=
    for client in 1 2 3 4; do
        (
            for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
                status=0
                signed=$(sign one 2> /dev/null) || status=$?
                [ "$status" -ne 5 ] || continue
                [ "$status" -eq 0 ] || exit "$round"
                "$keyd_sign" --socket "$socket" --key one --verify "$signed" "$message" > /dev/null ||
                    exit "$round"
            done
        ) &
        clients="$clients $!"
    done
    for round in 1 2 3 4 5 6 7 8 9 10; do
        kill -USR1 "$pid"
        kill -HUP "$pid"
        sleep 0.01
    done
    for client in $clients; do
        wait "$client" || fail "a signature made in a storm of signals does not verify"
    done
    kill -HUP "$pid"
    await "keyd signs after the storm" signs_with 0 one
}

check_socket() {
    "$keyd_hostile" "$socket" || fail "keyd does not stand a hostile client"
    signs_with 0 one || fail "keyd does not sign after a hostile client"
    expect 5 "$keyd" --keys "$keys" --socket "$socket"
    signs_with 0 one || fail "a second keyd has taken the socket away"
    stop TERM
    start --threads 1
    kill -KILL "$pid"
    wait "$pid" 2> /dev/null || :
    ended "$pid"
    [ -S "$socket" ] || fail "the killed keyd has left no socket, so this tests nothing"
    start
    stop INT
}

check_daemon() {
    # The substitution ends only when nobody holds its pipe: the daemon must have let go of it.
    said=$("$keyd" --keys "$keys" --socket "$socket" --pid-file "$scratch/pid" --daemon 2>&1) ||
        fail "the daemon does not start: $said"
    pid=$(cat "$scratch/pid")
    started "$pid"
    signs_with 0 one || fail "the daemon's parent was ready before the daemon"
    [ "$(field "$pid" VmLck)" -gt 0 ] || fail "the daemon has nothing locked"
    grep -q '^Max core file size *0 *0 ' "/proc/$pid/limits" || fail "the daemon may dump core"
    kill -TERM "$pid"
    await "the daemon ends" is_gone "$pid"
    ended "$pid"
    [ ! -e "$socket" ] || fail "the daemon has left its socket behind"
    [ ! -e "$scratch/pid" ] || fail "the daemon has left its pid file behind"
    expect 5 "$keyd" --keys "$keys" --socket "$socket" --pid-file "$scratch/none/pid" --daemon
    [ ! -e "$socket" ] || fail "a daemon that could not start has left its socket behind"
}

# The same under a small limit. (It means nothing to root; example.keyd-user has it without root.)
check_limit() {
    limit=$1
    if ! (lock_limit "$limit"); then
        echo "SKIP: limit-$limit-KiB: the hard limit on locked memory is lower"
        return 0
    fi
    start
    signs_with 0 one || fail "keyd does not sign at a limit of $limit KiB"
    rm -f "$keys/three"
    "$keyd" --keys "$keys" --make three
    kill -HUP "$pid"
    await "keyd reloads at a limit of $limit KiB" signs_with 0 three
    stop TERM
}

# A user who may lock nothing is told so. (Root may lock what it likes.)
check_nothing() {
    [ "$(id -u)" -ne 0 ] || return 0
    # shellcheck disable=SC2016 # for the inner shell
    expect 4 sh -c 'ulimit -l 0 && exec "$@"' sh "$keyd" --keys "$keys" --socket "$socket"
    said err 'RLIMIT_MEMLOCK'
}

check_usage
check_make
check_bad_keys
check_signatures
check_parallel
check_signals
check_storm
check_socket
check_daemon
check_limit "$small_limit"
check_limit 8192
check_nothing
