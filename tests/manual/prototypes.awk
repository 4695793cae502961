# SPDX-License-Identifier: ISC
# Prints the prototypes of a header (the functions marked SECURE_MALLOC_API) or, of a manual page (the
# lines .Ft and .Fn), one a line: "void *secure_malloc(size_t size)".

FILENAME ~ /\.h$/ { header = header $0 " "; next }

/^\.Ft / { type = substr($0, 5) }

/^\.Fn / && type != "" {
    arguments = substr($0, 5)
    name = arguments
    sub(/ .*/, "", name)
    sub(/^[^ ]* */, "", arguments)
    gsub(/" "/, ", ", arguments)
    gsub(/"/, "", arguments)
    print type (type ~ /\*$/ ? "" : " ") name "(" arguments ")"
    type = ""
}

END {
    while (match(header, /SECURE_MALLOC_API (const |char|void|int|bool|size_t)[^;]*;/)) {
        prototype = substr(header, RSTART, RLENGTH)
        header = substr(header, RSTART + RLENGTH)
        sub(/^SECURE_MALLOC_API /, "", prototype)
        sub(/ *SECURE_MALLOC_ATTRIBUTES.*/, "", prototype)
        sub(/;$/, "", prototype)
        gsub(/  +/, " ", prototype)
        print prototype
    }
}
