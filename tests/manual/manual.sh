#!/bin/sh
# SPDX-License-Identifier: ISC
# usage: manual.sh ROOT
# The manual is the specification, so it is held to the code: every function with its prototype, every
# text that can appear on stderr, every option, field, constant and number, and mandoc's own rules.
# Prints a line for each breach; selftest.sh breaks each rule once.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd -- "$1"
functions_page=man/secure_malloc.3
overview_page=man/secure_malloc.7
header=include/secure_malloc.h

work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
: > "$work/breaches"

breach() {
    echo "manual: $*"
    echo x >> "$work/breaches"
}

# section PAGE TITLE
section() {
    awk -v title="$2" '/^\.Sh / { inside = substr($0, 5) == title } inside' "$1"
}

# A rule that finds nothing to check checks nothing.
some() {
    [ -s "$1" ] || breach "found no $2"
}

functions() {
    sed -n 's/^    \(secure_[a-z_]*\);$/\1/p' src/secure_malloc.map | LC_ALL=C sort > "$work/functions"
    sed -n 's/^\.Nm \(secure_[a-z_]*\).*/\1/p' "$functions_page" | LC_ALL=C sort > "$work/named"
    some "$work/functions" "functions"
    diff "$work/functions" "$work/named" > "$work/diff" ||
        breach "$functions_page names other functions than src/secure_malloc.map: $(cat "$work/diff")"
    awk -f "$here/prototypes.awk" "$header" > "$work/declared"
    awk -f "$here/prototypes.awk" "$functions_page" > "$work/promised"
    some "$work/declared" "prototypes"
    diff "$work/declared" "$work/promised" > "$work/diff" ||
        breach "the prototypes, or their order, differ from $header: $(cat "$work/diff")"
    while read -r name; do
        section "$functions_page" DESCRIPTION | grep -q "^\.Fn $name\( \|\$\)" ||
            breach "the DESCRIPTION in $functions_page does not speak of $name"
    done < "$work/functions"
}

texts() {
    section "$overview_page" DIAGNOSTICS | sed 's/\\(dq/"/g' > "$work/diagnostics"
    find src -name '*.c' | LC_ALL=C sort | while IFS= read -r file; do
        awk -f "$here/texts.awk" "$file"
    done | LC_ALL=C sort -u > "$work/texts"
    some "$work/texts" "texts"
    while IFS= read -r text; do
        grep -q -F -e "$text" "$work/diagnostics" ||
            breach "the DIAGNOSTICS in $overview_page do not list: $text"
    done < "$work/texts"
}

options() {
    section "$overview_page" OPTIONS > "$work/options"
    awk -F '"' '/^static const struct option table/ { inside = 1; next } /^};/ { inside = 0 }
        inside { for (i = 2; i <= NF; i += 2) print $2, $i }' src/policy/options.c > "$work/table"
    some "$work/table" "options"
    while read -r name value; do
        if [ "$name" = "$value" ]; then
            grep -q "^\.It Cm $name Ns = Ns " "$work/options" ||
                breach "the OPTIONS in $overview_page do not list: $name"
        else
            grep -q "^\.It Cm $name Ns = .*[ ]$value\( \|\$\)" "$work/options" ||
                breach "the OPTIONS in $overview_page do not list: $name=$value"
        fi
    done < "$work/table"
}

# Fields of the structs, and names in capitals.
names() {
    awk '/^struct secure_(options|stats|audit|report) \{/ { inside = 1; next } /^};/ { inside = 0 }
        inside { text = text " " $0 }
        END {
            gsub(/\/\*[^*]*\*\//, "", text)
            gsub(/\)\(.*context\)/, "", text)
            gsub(/size_t|uint(32|64)_t|const|char|void|[*(;,]/, " ", text)
            count = split(text, words, " ")
            for (i = 1; i <= count; i++) print words[i]
        }' "$header" | LC_ALL=C sort -u > "$work/names"
    grep -o 'SECURE_[A-Z_]*' "$header" |
        grep -v -e '_H$' -e '_API$' -e '_ATTRIBUTES$' -e '_$' -e '_OPTIONS$' | LC_ALL=C sort -u >> "$work/names"
    some "$work/names" "names"
    while read -r name; do
        grep -q -w -e "$name" "$functions_page" || breach "$functions_page does not speak of $name"
    done < "$work/names"
    # Every counter that is printed at exit is between the first and the last that the page names.
    awk -F '"' '/^static void tell_stats/ { inside = 1 } /^}/ { inside = 0 }
        inside && NF == 3 { print $2 }' src/api/see.c > "$work/told"
    if [ "$(sed -n '1p;$p' "$work/told" | tr '\n' ' ')" != "live_count forks " ]; then
        breach "the counters at exit are others than $overview_page says"
    fi
}

# Calls by number, advice and flags: those of src/os and src/base, and those of the page, are the same.
calls() {
    section "$overview_page" "SYSTEM CALLS" > "$work/calls"
    for folder in src/os src/base; do
        cat "$folder"/*.c "$folder"/*.h
    done > "$work/code"
    grep -o 'SYS_[a-z0-9_]*' "$work/code" | sed 's/^SYS_//' | LC_ALL=C sort -u > "$work/numbers"
    some "$work/numbers" "system calls"
    while read -r name; do
        grep -q "^$name(" "$work/calls" || breach "the SYSTEM CALLS in $overview_page do not list: $name"
    done < "$work/numbers"
    sed 's/ADVICE_/MADV_/g' "$work/code" | grep -o -w -E '(MADV|MCL|MAP)_[A-Z_]*' |
        grep -v -x MAP_FAILED | LC_ALL=C sort -u > "$work/flags"
    grep -o -w -E '(MADV|MCL|MAP)_[A-Z_]*' "$work/calls" | LC_ALL=C sort -u > "$work/listed"
    some "$work/flags" "flags"
    diff "$work/flags" "$work/listed" > "$work/diff" ||
        breach "the SYSTEM CALLS in $overview_page have other flags than src/: $(cat "$work/diff")"
}

constants() {
    while read -r name value; do
        case $name in '#'* | '') continue ;; esac
        find src -name '*.[ch]' -exec cat {} + | tr -s '\n ' ' ' |
            grep -q -F -w -e "$name = $value" ||
            breach "the manual says $value where src/ has another $name"
    done < "$here/constants.txt"
}

functions
texts
options
names
calls
constants
[ ! -s "$work/breaches" ] || exit 1

command -v mandoc > /dev/null || {
    echo "SKIP: lint.manual: needs the Debian package mandoc"
    exit 77
}
mandoc -T lint -W warning "$functions_page" "$overview_page" > "$work/lint" || {
    breach "mandoc is not content:"
    cat "$work/lint"
    exit 1
}
