# SPDX-License-Identifier: ISC
# Is what measure.sh --smoke has written complete and sane? Prints what is not; fails if anything.
#
#   awk -v built="NAME..." -f lib.awk -f smoke.awk raw.csv report=results results.csv \
#       report=tables tables.md

function wrong(text) {
    print text
    mistakes++
}

BEGIN {
    # What each workload is to say of each allocator that can do it.
    expected["pairs"] = "ns"
    expected["replace"] = "ns"
    expected["handoff"] = "ns"
    expected["burst"] = "alloc_ns free_ns peak_rss_bytes peak_locked_bytes peak_vmas peak_faults " \
        "after_locked_bytes after_vmas back_percent"
    expected["keys"] = "ns alloc_ns free_ns locked_bytes_a_key resident_bytes_a_key vmas"
    expected["latency"] = "p50_ns p99_ns p99.9_ns p99.99_ns max_ns"
    expected["phases"] = "small_rss_bytes big_rss_bytes again_rss_bytes few_rss_bytes big_to_small " \
        "again_to_small few_to_small"
    expected["purge"] = "ns page_ns cycle_ns"
    split("pairs replace handoff burst latency keys phases purge", list, " ")
    for (i in list)
        turns[list[i]] = i <= 5 ? 2 : 1
    # Those that are never too slow for it.
    dependable = " plain plain-locked null secure_malloc mimalloc "
}

FNR == 1 && report != "tables" { next }

# ---- raw.csv ----

function check_number(workload, metric, number, who) {
    if (number !~ /^-?[0-9]+(\.[0-9]+)?(e[-+][0-9]+)?$/)
        wrong(who ": " metric " is no number: " number)
    else if (is_time(metric) && !(number > 0 && number < 60e9))
        wrong(who ": " metric " is no time: " number)
    else if (metric == "locked_percent" && !(number >= 0 && number <= 100))
        wrong(who ": " metric " is no share: " number)
    else if (metric ~ /_percent$/ && !(number > -100 && number < 110))
        wrong(who ": " metric " is no share: " number)
}

function check_reason(allocator, text, who) {
    if (text == "" || text ~ /^(killed|ended)/)
        wrong(who ": " text)
    if (text ~ /^took longer/ && index(dependable, " " allocator " "))
        wrong(who ": " text)
    if (allocator == "null" && text !~ /one buffer/)
        wrong(who ": " text)
    if (allocator == "plain")
        wrong(who " can do everything, but: " text)
}

report == "" {
    if (split_csv($0, f) != 6) {
        wrong("raw.csv: " $0)
        next
    }
    who = f[2] " " f[3] ", " f[4]
    if (f[1] !~ /^[0-9]+\.[0-9]+$/ || ((f[1], f[2], f[3], f[4], f[5]) in was_said))
        wrong("turn " f[1] " of " who ": " f[5])
    was_said[f[1], f[2], f[3], f[4], f[5]] = 1
    note(cases, case_at, f[2] SUBSEP f[3])
    if (f[5] == "cannot") {
        check_reason(f[4], f[6], who)
        cannot[f[2], f[3], f[4]] = 1
    } else {
        check_number(f[2], f[5], f[6], who)
        # Of two turns, as many as there are here, the median is the mean.
        turns_of[f[2], f[3], f[4], f[5]]++
        sum[f[2], f[3], f[4], f[5]] += f[6]
        number[f[2], f[3], f[4], f[5]] = sum[f[2], f[3], f[4], f[5]] / turns_of[f[2], f[3], f[4], f[5]]
    }
    next
}

# ---- results.csv ----

report == "results" {
    if (split_csv($0, f) != 9)
        wrong("results.csv: " $0)
    in_results[f[1], f[2], f[4], f[3]] = f[5]
    if (f[3] == "cannot" ? f[9] == "" : f[5] == "")
        wrong("results.csv says nothing: " $0)
    if (f[4] == "plain" && is_time(f[3]) && f[6] != 1)
        wrong("plain is not once itself: " $0)
    if (f[1] != "purge" && f[4] == "secure_malloc" && is_time(f[3]) && !(f[6] > 0))
        wrong("no ratio: " $0)
    next
}

# ---- tables.md ----

/^## / {
    title = $2
    sub(/:$/, "", title)
    is_shown[title] = 1
}

/^\|/ {
    columns = gsub(/\|/, "|")
    if (before != "" && columns != columns_before)
        wrong("tables.md: a row of another length: " $0)
    columns_before = columns
    if (title == "Numbers" && $0 ~ /(met|missed|not measured) *\|$/)
        judged++
}

{ before = $0 ~ /^\|/ ? $0 : "" }

# ---- is all of it there? ----

function ways_of(words) {
    return "locked relock each-use" (words ~ /^64 / ? " batch" : "")
}

# But for what six digits leave out.
function differ(a, b) {
    return (a - b) ^ 2 > (b * 1e-5) ^ 2
}

function check_case(workload, words, who,    i, count, metric, a, list, wanted) {
    count = split(workload == "purge" ? ways_of(words) : built, list, " ")
    for (a = 1; a <= count; a++) {
        who = workload " " words ", " list[a]
        if ((workload, words, list[a]) in cannot) {
            if (!((workload, words, list[a], "cannot") in in_results))
                wrong(who ": its reason is not in results.csv")
            continue
        }
        wanted = split(expected[workload], metric, " ")
        for (i = 1; i <= wanted; i++) {
            if (!((workload, words, list[a], metric[i]) in number))
                wrong(who ": no " metric[i])
            else if (turns_of[workload, words, list[a], metric[i]] != turns[workload])
                wrong(who ": " metric[i] " has not " turns[workload] " turns")
            else if (differ(in_results[workload, words, list[a], metric[i]] + 0, \
                number[workload, words, list[a], metric[i]] + 0))
                wrong(who ": " metric[i] " is another in results.csv")
            if (workload == "latency" && i > 1 && number[workload, words, list[a], metric[i]] + 0 < \
                number[workload, words, list[a], metric[i - 1]] + 0)
                wrong(who ": " metric[i] " is less than what is below it")
        }
    }
}

END {
    for (c = 1; c in cases; c++) {
        split(cases[c], part, SUBSEP)
        measured[part[1]] = 1
        check_case(part[1], part[2])
        if (!(part[1] in expected))
            wrong("what is " part[1] "?")
    }
    for (workload in expected) {
        if (!(workload in measured))
            wrong("not measured: " workload)
        if (!(workload in is_shown))
            wrong("not in tables.md: " workload)
    }
    if (judged != 17)
        wrong("of 17 numbers to reach, " judged + 0 " are shown")
    exit mistakes > 0
}
