#!/bin/sh
# SPDX-License-Identifier: ISC
# C++ can include every public header, and link.
set -eu
. "$(dirname "$0")/lib.sh"

cxx=${CXX:-c++}
command -v "$cxx" > /dev/null || skip "needs a C++ compiler (Debian: g++)"

cd "$SOURCE/include"
find . -name '*.h' | while IFS= read -r header; do
    for standard in c++11 c++17 c++20; do
        echo "#include \"${header#./}\"" > "$work/header.cpp"
        quietly "$cxx" -std=$standard -Wall -Wextra -Wpedantic -Wundef -Werror -I . \
            -fsyntax-only "$work/header.cpp"
    done
done

cat > "$work/program.cpp" <<'END'
#include <memory>
#include <secure_malloc.h>

struct wiper {
    void operator()(void *secret) const { secure_free(secret); }
};

int main()
{
    struct secure_options options = SECURE_OPTIONS_INIT;
    struct secure_stats stats = SECURE_STATS_INIT;
    struct secure_audit audit = SECURE_AUDIT_INIT;
    std::unique_ptr<char, wiper> secret(secure_strdup("secret"));
    return secret && options.struct_size && stats.struct_size && audit.struct_size ? 0 : 1;
}
END
install_and_move "$BUILD"
flags=$(module --cflags --libs --static)
eval "set -- $flags"
quietly "$cxx" -std=c++11 -Wall -Wextra -Werror -o "$work/program" "$work/program.cpp" "$@" \
    -Wl,-rpath,"$libdir"
quietly "$work/program"
