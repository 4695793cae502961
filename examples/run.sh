#!/bin/sh
# SPDX-License-Identifier: ISC
# Installs what is missing (Debian), builds the library and the examples outside of this folder, and
# shows them at work: keyd signs a message and the signature is verified; footprint and
# onfault-service print what secrets cost and what comes back.
#
#   sh examples/run.sh
#
# Exit status: 0 all as it should be, 1 not so, 2 something is missing and cannot be installed.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
program=examples/run.sh
# shellcheck source=tests/lib.sh
. "$root/tests/lib.sh"

if [ $# -ne 0 ]; then
    say "usage: sh examples/run.sh"
    exit 2
fi

# shellcheck disable=SC2046 # one word, one package
install_packages $(missing_for_build)
raise_lock_limit

folder=$(build_folder)/examples
build "$folder" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DSECURE_MALLOC_BUILD_TESTS=OFF -DSECURE_MALLOC_BUILD_EXAMPLES=ON
sh "$root/examples/show.sh" "$folder/examples"
echo "keyd, footprint and onfault-service ran, and did what they should"
