#!/bin/sh
# SPDX-License-Identifier: ISC
# Every public header stands alone, in every C that users have, without a warning.
set -eu
. "$(dirname "$0")/lib.sh"

cd "$SOURCE/include"
find . -name '*.h' | while IFS= read -r header; do
    for standard in c99 c11 c17 gnu11; do
        echo "#include \"${header#./}\"" > "$work/header.c"
        quietly "$CC" -std=$standard -Wall -Wextra -Wpedantic -Wundef -Werror -I . \
            -fsyntax-only "$work/header.c"
    done
done
