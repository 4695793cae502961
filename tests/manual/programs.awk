# SPDX-License-Identifier: ISC
# usage: awk -v folder=FOLDER -f programs.awk PAGE...
# Writes each display of the section EXAMPLES to FOLDER/NAME.c, where the line before it is
# '.\" program: NAME', and each one of IDIOMS as a block of its own to FOLDER/idioms.inc. Prints the
# names. A literal display of EXAMPLES without a name is an error.

/^\.Sh / { section = $2 }
/^\.\\" program: / { name = $3; next }

/^\.Ed/ && to != "" {
    if (section == "IDIOMS")
        print "}" > to
    to = ""
    next
}

to != "" {
    line = $0
    gsub(/\\-/, "-", line)
    gsub(/\\\(aq/, "'", line)
    gsub(/\\e/, "\\", line)
    print line > to
    next
}

/^\.Bd -literal/ && section == "EXAMPLES" {
    if (name == "") {
        print FILENAME ":" FNR ": an example without a name" > "/dev/stderr"
        failed = 1
        exit 1
    }
    print name
    to = folder "/" name ".c"
    name = ""
}

/^\.Bd -literal/ && section == "IDIOMS" {
    to = folder "/idioms.inc"
    print "{" > to
}

END { exit failed }
