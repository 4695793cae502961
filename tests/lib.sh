# shellcheck shell=sh
# SPDX-License-Identifier: ISC
# What tests/run.sh, examples/run.sh and .ci/run share. Sourced by them, with $root (the source
# folder) and $program (the name under which to speak) set. POSIX sh, and only what a minimal Debian
# has: no git, no ps, no python.

: "${root:?}" "${program:?}"

say() {
    printf '%s: %s\n' "$program" "$*" >&2
}

# has COMMAND...: are all of them here?
has() {
    for command in "$@"; do
        command -v "$command" > /dev/null 2>&1 || return 1
    done
}

# ---- packages ----

# has_header HEADER: can it be included?
has_header() {
    for compiler in ${CC:+"$CC"} cc gcc clang; do
        if has "$compiler"; then
            echo "#include <$1>" | "$compiler" -fsyntax-only -x c - 2> /dev/null
            return
        fi
    done
    return 1
}

# The compiler alone is not enough: gcc comes without the C library's headers.
can_compile() {
    has_header stdlib.h
}

has_module() {
    has pkg-config && pkg-config --exists "$1"
}

# The packages, by Debian's names, without which nothing can be built.
missing_for_build() {
    can_compile || echo gcc libc6-dev
    has cmake || echo cmake
    has make || echo make
    has pkg-config || echo pkg-config
    has_module libsodium || echo libsodium-dev
}

missing_for_tests() {
    missing_for_build
    has_module cmocka || echo libcmocka-dev
}

has_clang_sanitizers() {
    has clang && [ -e "$(clang -print-file-name=libclang_rt.asan-"$(uname -m)".a)" ]
}

# What the benchmark compares with.
missing_allocators() {
    has_header mimalloc.h || echo libmimalloc-dev
    has_header openssl/crypto.h || echo libssl-dev
    has_header gcrypt.h || echo libgcrypt20-dev
    has_header sodium.h || echo libsodium-dev
    has_module botan-2 || echo libbotan-2-dev
    has c++ || echo g++
}

# The rest that CI and a developer want. None of these packages has a daemon.
missing_for_all() {
    missing_for_tests
    has clang || echo clang
    has_clang_sanitizers || echo libclang-rt-14-dev
    has clang-format || echo clang-format
    has clang-tidy || echo clang-tidy
    has qemu-system-x86_64 || echo qemu-system-x86
    missing_allocators
    for same_name in cpio cppcheck shellcheck valgrind strace gdb mandoc mmdebstrap setpriv; do
        has "$same_name" || case $same_name in
            setpriv) echo util-linux ;;
            *) echo "$same_name" ;;
        esac
    done
}

needs() {
    say "needs these packages, and $1: $2"
    exit 2
}

# install_packages WORD...: as root, or with sudo; whatever is in the way is said in one line.
install_packages() {
    [ $# -gt 0 ] || return 0
    sudo=
    if [ "$(id -u)" -ne 0 ]; then
        has sudo || needs "only root or sudo can install them" "$*"
        sudo=sudo
        # Nobody is there to type a password.
        [ -t 0 ] || sudo='sudo -n'
    fi
    has apt-get || needs "there is no apt-get to install them with" "$*"
    # For someone who watches; a log gets one line if it fails, and none if it does not.
    [ ! -t 1 ] || echo "$program: installing $*"
    install_log=$(mktemp)
    # A source of somebody else's that cannot be reached fails the update; what counts is the install.
    # shellcheck disable=SC2086 # $sudo is two words or none
    $sudo apt-get update > "$install_log" 2>&1 < /dev/null || :
    # shellcheck disable=SC2086
    if ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@" \
        >> "$install_log" 2>&1 < /dev/null; then
        needs "apt-get could not install them (see $install_log)" "$*"
    fi
    rm -f "$install_log"
}

# ---- folders ----

# Prints the build folder, outside of the source folder, which may be read-only. One for each user
# and source folder, and kept, so that a second run has little to do.
build_folder() {
    if [ -n "${SECURE_MALLOC_BUILD_DIR:-}" ]; then
        mkdir -p -- "$SECURE_MALLOC_BUILD_DIR"
        (CDPATH='' cd -- "$SECURE_MALLOC_BUILD_DIR" && pwd -P)
        return
    fi
    own_folder=${TMPDIR:-/tmp}/secure_malloc-$(id -u)-$(printf '%s' "$root" | cksum | cut -d ' ' -f 1)
    mkdir -m 700 -- "$own_folder" 2> /dev/null || :
    # Anybody may have made a folder of this name in /tmp: what we build and run must be ours.
    if [ -z "$(find "$own_folder" -prune -type d -user "$(id -u)" 2> /dev/null)" ]; then
        say "cannot build in $own_folder; set SECURE_MALLOC_BUILD_DIR to a folder of your own"
        exit 2
    fi
    printf '%s\n' "$own_folder"
}

# quietly LOG COMMAND...: shows what the command said only if it failed.
quietly() {
    log=$1
    shift
    if ! "$@" > "$log" 2>&1 < /dev/null; then
        cat -- "$log" >&2
        say "failed: $*"
        return 1
    fi
}

# build FOLDER CMAKE-ARGUMENT...
build() {
    build_in=$1
    shift
    mkdir -p -- "$build_in"
    quietly "$build_in/configure.log" cmake -S "$root" -B "$build_in" "$@" &&
        quietly "$build_in/build.log" cmake --build "$build_in" --parallel "$(nproc)"
}

# ---- limits ----

# The soft limit on locked memory is a default, not a decision: go as far as the hard one allows.
raise_lock_limit() {
    # shellcheck disable=SC3045 # not in POSIX, but in dash and bash
    ulimit -S -l "$(ulimit -H -l)" 2> /dev/null || :
}

# ---- results ----

# run_ctest JUNIT CTEST-ARGUMENT...: runs tests, then prints each skip with its reason, each failure,
# and the line "N passed, N failed, N skipped". Fails if a test did, or if there was none.
run_ctest() {
    junit=$1
    shift
    rm -f -- "$junit"
    ctest "$@" --output-on-failure --parallel "$(nproc)" --no-tests=error \
        --output-junit "$junit" --test-output-size-passed 1048576 < /dev/null || :
    if [ ! -f "$junit" ]; then
        say "ctest left no results"
        echo "0 passed, 1 failed, 0 skipped"
        return 1
    fi
    awk -f "$root/tests/summary.awk" "$junit"
}
