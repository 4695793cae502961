#!/bin/sh
# SPDX-License-Identifier: ISC
# Boots real kernels of Debian's, under software emulation and with nothing but tests/kernel/cycle.c
# as the first process: 5.10 has no MADV_DONTNEED_LOCKED and its default lock limit is 64 KiB, 6.1 has
# it without process_madvise for oneself, 6.12 has no guards yet. Takes half a minute and the network; called
# by .ci/run. Exit status 77 where it cannot be done, with the reason.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
work=$(mktemp -d "${TMPDIR:-/tmp}/secure_malloc-kernel.XXXXXX")
trap 'rm -rf -- "$work"' EXIT
trap 'exit 1' HUP INT TERM

skip() {
    echo "SKIP: kernel.boot: $*"
    exit 77
}

[ "$(uname -m)" = x86_64 ] || skip "boots x86_64 kernels alone"
for command in qemu-system-x86_64 cpio gcc apt-get dpkg-deb; do
    command -v "$command" > /dev/null 2>&1 || skip "needs $command"
done

# The machine's own mirror serves the older suites too. Its apt state stays untouched.
# shellcheck disable=SC2016 # apt's own variable
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2> /dev/null | head -n 1)
[ -n "$mirror" ] || skip "no Debian mirror is configured, or apt-get update was never run"

# fetch_kernel SUITE NAME-PATTERN: prints the kernel's path, or nothing.
fetch_kernel() {
    folder=$work/$1
    mkdir -p "$folder/lists/partial" "$folder/archives/partial" "$folder/root"
    : > "$folder/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" \
        > "$folder/sources.list"
    set -- "$2" -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o "Dir::State::lists=$folder/lists" -o "Dir::State::status=$folder/status" \
        -o "Dir::Cache::archives=$folder/archives" -o "Dir::Cache::pkgcache=" \
        -o "Dir::Cache::srcpkgcache=" -o APT::Sandbox::User=root
    pattern=$1
    shift
    apt-get "$@" -qq update > "$folder/log" 2>&1 || return 0
    package=$(apt-cache "$@" pkgnames linux-image | grep -E "$pattern" | sort -V | tail -n 1)
    [ -n "$package" ] || return 0
    (cd "$folder" && apt-get "$@" -qq download "$package" >> log 2>&1) || return 0
    dpkg-deb --fsys-tarfile "$folder/$package"_*.deb | tar -x -C "$folder/root" ./boot
    ls "$folder"/root/boot/vmlinuz-*
}

# boot KERNEL ARGUMENT...: shows the console; succeeds if the test came to its end. The two processors
# take turns in one thread: with a thread each, a kernel that changes its own code while it boots can
# meet the breakpoint that it puts there meanwhile after it has taken the handler away (6.12 died so).
boot() {
    kernel=$1
    shift
    timeout 180 qemu-system-x86_64 -accel tcg,thread=single -cpu max,-cx16 -m 512 -smp 2 -nodefaults \
        -no-user-config -display none -no-reboot -serial stdio -kernel "$kernel" \
        -initrd "$work/initrd" -append "console=ttyS0 quiet panic=-1 $*" < /dev/null 2>&1 |
        tr -d '\r' > "$work/console" || :
    sed 's/^/    /' "$work/console"
    grep -q '^KERNEL TEST DONE' "$work/console"
}

mkdir -p "$work/initrd.d"
# One file of the two that choose the wide slots' code, and that one alone with what it asks for.
# shellcheck disable=SC2046 # the sources' names have no spaces, and the folder's name is not in them
(
    cd "$root"
    set -- -std=c11 -D_GNU_SOURCE -DSECURE_MALLOC_DEBUG=1 -O2 -static -pthread -Isrc -Iinclude
    gcc "$@" -mavx2 -mbmi2 -c -o "$work/wide.o" src/heap/slot_wide_avx2.c
    gcc "$@" -o "$work/initrd.d/init" tests/kernel/cycle.c "$work/wide.o" \
        $(find src -name '*.c' ! -name slot_wide_avx2.c ! -name slot_wide_generic.c)
)
(cd "$work/initrd.d" && find . | cpio -o -H newc --quiet | gzip -1 > "$work/initrd")

booted=0 failed=0
# suite, name, and the way to give pages back: 2 is the fall-back, 0 range by range
while read -r suite pattern way; do
    kernel=$(fetch_kernel "$suite" "$pattern")
    if [ -z "$kernel" ]; then
        echo "SKIP: kernel.boot: no kernel from $suite"
        continue
    fi
    echo "== ${kernel##*/vmlinuz-}"
    booted=$((booted + 1))
    boot "$kernel" "way=$way" || failed=$((failed + 1))
done << 'KERNELS'
bullseye ^linux-image-5[.]10[.]0-[0-9]+-cloud-amd64$ 2
bookworm ^linux-image-6[.]1[.]0-[0-9]+-cloud-amd64$ 0
bookworm-backports ^linux-image-6[.]12[.].*cloud-amd64$ 0
KERNELS

echo "$booted kernels booted, $failed of them failed"
[ "$failed" -eq 0 ] || exit 1
[ "$booted" -gt 0 ] || exit 77
