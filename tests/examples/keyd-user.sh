#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: keyd-user.sh KEYD KEYD-SIGN
# keyd started by root, for another user: it loads the keys as root, where no limit counts, becomes
# that user, forks, and signs and reloads at the user's limit on locked memory.
set -eu

keyd=$1 keyd_sign=$2
test=example.keyd-user
# shellcheck source=lib.sh
. "$(dirname -- "$0")/lib.sh"

[ "$(id -u)" -eq 0 ] || skip "only root can change users"
user=nobody
user_id=$(id -u "$user" 2> /dev/null) || skip "there is no user $user"

keys=$scratch/keys
socket=$scratch/run/socket
message=$scratch/message
mkdir -m 700 "$keys" "$scratch/run"
chown "$user" "$keys" "$scratch/run" 2> /dev/null || skip "this root may not change owners"
chmod 711 "$scratch"
printf 'to be signed' > "$message"

sign() {
    "$keyd_sign" --socket "$socket" --key "$1" "$message"
}

# is_all NAME VALUE: do all fields of this line of the daemon's status have this value?
is_all() {
    awk -v name="$1:" -v value="$2" '$1 == name {
        for (i = 2; i <= NF; i++) if ($i "" != value "") exit 1
        found = 1
    } END { exit !found }' "/proc/$pid/status"
}

# The limit, in KiB, is the daemon's for good: it is no root then.
check_at() {
    limit=$1
    if ! (lock_limit "$limit"); then
        echo "SKIP: limit-$limit-KiB: the hard limit on locked memory is lower"
        return 0
    fi
    # shellcheck disable=SC2016 # for the inner shell
    expect 0 sh -c 'ulimit -l "$0" && exec "$@"' "$limit" "$keyd" --keys "$keys" \
        --socket "$socket" --pid-file "$scratch/run/pid" --user "$user" --daemon
    pid=$(cat "$scratch/run/pid")
    started "$pid"
    is_all Uid "$user_id" || fail "keyd is not $user: $(grep '^Uid' "/proc/$pid/status")"
    is_all CapEff 0000000000000000 || fail "keyd has kept a capability"
    locked=$(field "$pid" VmLck)
    [ "$locked" -gt 0 ] || fail "nothing is locked at a limit of $limit KiB"
    [ "$locked" -le "$limit" ] || fail "$locked KiB are locked at a limit of $limit KiB"

    signature=$(sign one) || fail "keyd does not sign at a limit of $limit KiB"
    expect 0 "$keyd_sign" --socket "$socket" --key one --verify "$signature" "$message"
    expect 0 "$keyd" --keys "$keys" --make "at-$limit" --user "$user"
    kill -HUP "$pid"
    await "the new key signs at a limit of $limit KiB" sign "at-$limit"
    # What the user cannot read goes, and nothing else.
    chown root "$keys/at-$limit"
    kill -HUP "$pid"
    await "root's key goes" is_refused "at-$limit"
    sign one > "$scratch/out" || fail "a key that is not the user's has cost another one"
    rm -f "$keys/at-$limit"

    kill -TERM "$pid"
    await "keyd ends" is_gone "$pid"
    ended "$pid"
    [ ! -e "$socket" ] || fail "keyd could not remove its socket"
    [ ! -e "$scratch/run/pid" ] || fail "keyd could not remove its pid file"
}

is_refused() {
    ! sign "$1"
}

expect 0 "$keyd" --keys "$keys" --make one --user "$user"
[ -n "$(find "$keys/one" -user "$user" -perm 0600)" ] || fail "the new key is not the user's alone"
expect 2 "$keyd" --keys "$keys" --socket "$socket" --user no-such-user
check_at "$small_limit"
check_at 8192
