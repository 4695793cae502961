# SPDX-License-Identifier: ISC
# Reads the JUnit file that ctest writes: prints a line for each skip and each failure, then the
# counts. A program is one test. A skip is a program that ended with 77, or one case within a program;
# both say why in a line "SKIP: <name>: <reason>". Exits with 1 if a test failed or none was found.

function value_of(attribute,    value) {
    value = $0
    if (!sub(".* " attribute "=\"", "", value))
        return ""
    sub(/".*/, "", value)
    return value
}

function plain(text) {
    gsub(/&lt;/, "<", text)
    gsub(/&gt;/, ">", text)
    gsub(/&quot;/, "\"", text)
    gsub(/&apos;/, "'", text)
    gsub(/&amp;/, "\\&", text)
    return text
}

/^[ \t]*<testcase / {
    name = value_of("name")
    status = value_of("status")
    skip_code = 0
    reasons = 0
}

# ctest calls a test whose program is missing skipped too; only our own exit code is a skip.
/<skipped message="SKIP_RETURN_CODE=/ { skip_code = 1 }

{
    line = $0
    sub(/^[ \t]*<system-out>/, "", line)
    if (line ~ /^SKIP: /) {
        line = plain(line)
        sub(/^SKIP: /, "", line)
        # The name of a case follows the program's; a program names itself.
        print "SKIP: " (index(line, name ": ") == 1 ? line : name ": " line)
        skipped++
        reasons++
    }
}

/^[ \t]*<\/testcase>/ {
    if (status == "run")
        passed++
    else if (!skip_code) {
        print "FAIL: " name
        failed++
    } else if (!reasons) {
        print "SKIP: " name ": no reason given"
        skipped++
    }
}

END {
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit failed > 0 || passed + skipped == 0
}
