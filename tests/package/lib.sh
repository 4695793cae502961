# shellcheck shell=sh
# SPDX-License-Identifier: ISC
# What the package tests share. ctest sets in the environment: SOURCE and BUILD (the folders), CMAKE, CC,
# and SHARED (ON or OFF: what BUILD holds).
: "${SOURCE:?}" "${BUILD:?}" "${CMAKE:?}" "${CC:?}" "${SHARED:?}"

# With a space: every path that is pasted together without quotes breaks here.
scratch=$(mktemp -d)
mkdir "$scratch/a b"
trap 'rm -rf -- "$scratch"' EXIT
work="$scratch/a b"
prefix=

fail() {
    echo "$0: $*" >&2
    exit 1
}

# skip REASON
skip() {
    echo "SKIP: $SECURE_MALLOC_TEST_NAME: $1"
    exit 77
}

# quietly COMMAND...
quietly() {
    "$@" > "$work/log" 2>&1 || {
        cat "$work/log" >&2
        fail "failed: $*"
    }
}

# build_library BUILD CMAKE-ARGUMENT...: the library alone, configured and built once more.
build_library() {
    library_build=$1
    shift
    quietly "$CMAKE" -S "$SOURCE" -B "$library_build" -DCMAKE_C_COMPILER="$CC" \
        -DSECURE_MALLOC_BUILD_TESTS=OFF -DSECURE_MALLOC_BUILD_EXAMPLES=OFF "$@"
    quietly "$CMAKE" --build "$library_build"
}

# For who reads the object code.
needs_object_code() {
    case $("$CC" -dumpmachine) in
        x86_64-*) ;;
        *) skip "knows the instructions of x86_64 alone" ;;
    esac
    command -v objdump > /dev/null || skip "needs objdump (Debian: binutils)"
}

# object_code FOLDER TYPE: builds the sources in a folder, and leaves their code in $work/code.
object_code() {
    rm -rf "$work/build"
    SOURCE=$1 build_library "$work/build" -DCMAKE_BUILD_TYPE="$2" -DBUILD_SHARED_LIBS=ON \
        -DSECURE_MALLOC_INSTALL=OFF
    LC_ALL=C objdump -d --no-show-raw-insn "$work/build/src/libsecure_malloc.so" > "$work/code"
}

# to_be_broken NAME: a copy of the sources, $work/NAME. A check that never fires is no check.
to_be_broken() {
    mkdir "$work/$1"
    for part in CMakeLists.txt cmake include src; do
        cp -R "$SOURCE/$part" "$work/$1/$part"
    done
}

# Installs a build, then moves what was installed: whatever remembers the first place breaks.
# Sets $prefix and $libdir.
install_and_move() {
    quietly "$CMAKE" --install "$1" --prefix "$work/first place"
    mkdir -p "$work/moved"
    prefix="$work/moved/second place"
    mv "$work/first place" "$prefix"
    libdir=$(dirname "$(find "$prefix" -name pkgconfig -type d)")
}

# module WORD...: pkg-config on the installed tree alone.
module() {
    PKG_CONFIG_PATH='' PKG_CONFIG_LIBDIR="$libdir/pkgconfig" pkg-config "$@" secure_malloc
}

# Builds and runs the consumer with what pkg-config says. Its words are escaped for a shell: eval.
compile_with_pkg_config() {
    flags=$(module --cflags --libs "$@")
    eval "set -- $flags"
    quietly "$CC" -o "$work/consumer" "$SOURCE/tests/package/consumer/consumer.c" "$@" \
        -Wl,-rpath,"$libdir"
    quietly "$work/consumer"
}

compile_with_find_package() {
    quietly "$CMAKE" -S "$SOURCE/tests/package/consumer" -B "$work/consumer build" \
        -DCMAKE_C_COMPILER="$CC" -DCMAKE_PREFIX_PATH="$prefix" "$@"
    quietly "$CMAKE" --build "$work/consumer build"
    quietly "$work/consumer build/consumer"
}

needs_shared_library() {
    while read -r word; do
        case $word in *libsecure_malloc.so*) return 0 ;; esac
    done <<END
$(readelf -d "$1" | grep NEEDED)
END
    return 1
}
