#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: bare-debian.sh          (as root, with mmdebstrap and network; .ci/run calls it)
# The two commands of the README on a Debian 12 that has nothing, from a source folder that is
# read-only and has a space in its name:
#
#   a user without sudo    is told in one line what to install, exit status 2
#   root                   examples/run.sh installs and runs
#   a user with sudo       tests/run.sh installs the rest and runs
#   a user                 both run again, and touch neither apt nor sudo
set -eu

source=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)

skip() {
    echo "SKIP: package.bare-debian: $1"
    exit 77
}

# The first call makes the root; the second, in namespaces of its own, uses it: its mounts and its
# processes are gone when it ends, and the folder can be removed.
if [ "${1:-}" != --inside ]; then
    [ "$(id -u)" -eq 0 ] || skip "needs root"
    command -v mmdebstrap > /dev/null || skip "needs mmdebstrap"
    unshare --mount --pid --fork true 2> /dev/null || skip "needs namespaces"
    debian=$(mktemp -d)
    trap 'rm -rf -- "$debian"' EXIT
    mmdebstrap --variant=minbase --quiet bookworm "$debian" > "$debian.log" 2>&1 || {
        tail -n 1 "$debian.log"
        rm -f "$debian.log"
        skip "mmdebstrap cannot make a Debian here"
    }
    rm -f "$debian.log"
    status=0
    unshare --mount --pid --fork --kill-child sh "$0" --inside "$debian" || status=$?
    exit "$status"
fi

debian=$2
folder='/srv/secure malloc'

mount --make-rprivate /
mkdir "$debian$folder"
# A copy, readable by all: the checkout may lie where only root may look.
(cd "$source" && find . -path ./build -prune -o -path ./.git -prune -o -type f -print | tar cf - -T -) |
    tar xf - -C "$debian$folder"
chmod -R a+rX "$debian$folder"
mount --bind "$debian$folder" "$debian$folder"
mount -o remount,bind,ro "$debian$folder"
mount -t proc proc "$debian/proc"
for device in null zero urandom random full tty; do
    [ -e "$debian/dev/$device" ] || : > "$debian/dev/$device"
    mount --bind "/dev/$device" "$debian/dev/$device"
done
cp /etc/resolv.conf /etc/hosts "$debian/etc/"
chroot "$debian" useradd --create-home tester

output="$debian/output"

# expect STATUS USER SCRIPT: runs it in the root, as that user, in an environment that holds nothing.
expect() {
    wanted=$1 user=$2 script=$3
    echo "bare-debian: $script as $user"
    status=0
    chroot --userspec="$user" "$debian" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        sh "$folder/$script" > "$output" 2>&1 < /dev/null || status=$?
    [ "$status" -eq "$wanted" ] || fail "exit status $status instead of $wanted"
}

fail() {
    cat "$output"
    echo "bare-debian: $1"
    exit 1
}

# last_line_is PATTERN
last_line_is() {
    # shellcheck disable=SC2254 # a pattern, on purpose
    case $(tail -n 1 "$output") in
        $1) tail -n 1 "$output" ;;
        *) fail "another last line" ;;
    esac
}

passes='*[1-9]* passed, 0 failed, * skipped'

for script in tests/run.sh examples/run.sh; do
    expect 2 tester $script
    [ "$(wc -l < "$output")" -eq 1 ] || fail "more than one line"
    last_line_is '*gcc libc6-dev cmake make pkg-config libsodium-dev*'
done

expect 0 root examples/run.sh

chroot "$debian" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --quiet --no-install-recommends sudo > "$output" 2>&1 || fail "no sudo"
echo 'tester ALL=(ALL) NOPASSWD: ALL' > "$debian/etc/sudoers.d/tester"
expect 0 tester tests/run.sh
last_line_is "$passes"

# Nothing is missing now: whoever calls these is found out.
for forbidden in apt-get sudo; do
    printf '#!/bin/sh\necho "%s was called"\nexit 1\n' $forbidden > "$debian/usr/local/bin/$forbidden"
    chmod 755 "$debian/usr/local/bin/$forbidden"
done
expect 0 tester tests/run.sh
last_line_is "$passes"
! grep 'was called' "$output" || fail "apt or sudo was called"
expect 0 tester examples/run.sh
! grep 'was called' "$output" || fail "apt or sudo was called"
