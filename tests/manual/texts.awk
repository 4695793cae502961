# SPDX-License-Identifier: ISC
# Prints every text that a C file can write to stderr, one a line, without the blanks at its ends:
# literals given to line_text, report_notice, report_unexpected and calls_ordinary, the words of
# faults, and the reasons that functions return. Pieces without three letters in a row are left out.

{ file = file $0 "\n" }

END {
    literals("line_text\\(&[a-z]+,[ \n]*")
    literals("report_notice\\([ \n]*")
    literals("(report_unexpected|calls_ordinary)\\([ \n]*")
    literals("\\[FAULT_[A-Z_]+\\] =[ \n]*")
    literals("return[ \n]+")
}

# Adjacent literals are one.
function literals(before,    rest, text) {
    rest = file
    while (match(rest, before "\"")) {
        rest = substr(rest, RSTART + RLENGTH - 1)
        text = ""
        while (match(rest, /^[ \n]*"([^"\\]|\\.)*"/)) {
            piece = substr(rest, RSTART, RLENGTH)
            rest = substr(rest, RSTART + RLENGTH)
            sub(/^[ \n]*"/, "", piece)
            sub(/"$/, "", piece)
            text = text piece
        }
        gsub(/\\"/, "\"", text)
        gsub(/^ +| +$/, "", text)
        if (text ~ /[A-Za-z][A-Za-z][A-Za-z]/)
            print text
    }
}
