# SPDX-License-Identifier: ISC
# results.csv -> a table for each workload, in Markdown that is also legible on a terminal.
#
#   awk [-v pictures=FOLDER] -f lib.awk -f tables.awk results.csv
#
# pictures: where the pictures are that the tables are to be shown with.

{ read_result($0) }

BEGIN {
    title["pairs"] = "One buffer, allocated, touched and freed, over and over"
    title["replace"] = "1,000 live buffers a thread, one replaced at random"
    title["handoff"] = "Allocated by one thread, freed by another"
    title["burst"] = "100,000 buffers of 64 bytes at once, then none"
    title["keys"] = "Many keys of 32 bytes at once, then none"
    title["latency"] = "One replacement of many, by how long it takes"
    title["phases"] = "Small buffers, then big ones, then small ones again, then few"
    title["purge"] = "Ways to give locked pages back"
}

# The share of the live buffers that the kernel has locked, where it is not all of them.
function locked_mark(workload, words, allocator,    key) {
    key = workload SUBSEP words SUBSEP "locked_percent" SUBSEP allocator
    if (!(key in median) || median[key] > 99.95)
        return ""
    marks_shown = 1
    return sprintf(" %.0f%%L", median[key])
}

# A footnote's number: one for each allocator and what is said of it.
function footnote(allocator, text) {
    note(footnotes, footnote_at, allocator ": " text)
    return "(" footnote_at[allocator ": " text] ")"
}

function show_ratio(key,    text) {
    text = three_digits(ratio[key])
    if (low[key] == high[key])
        return text
    ranges_shown = 1
    return text " [" three_digits(low[key]) "-" three_digits(high[key]) "]"
}

function cell(workload, words, metric, allocator, is_base,    key, text) {
    key = workload SUBSEP words SUBSEP metric SUBSEP allocator
    text = ""
    if (key in median) {
        if (is_time(metric) && !is_base && metric != "page_ns" && key in ratio)
            text = show_ratio(key)
        else
            text = show_value(metric, median[key])
        if (metric == "ns")
            text = text locked_mark(workload, words, allocator)
    }
    if ((workload, words, allocator) in reason)
        text = text (text == "" ? "" : " ") footnote(allocator, reason[workload, words, allocator])
    return text == "" ? "-" : text
}

function has_row(workload, words, metric,    a) {
    for (a = 1; a in allocators; a++)
        if ((workload, words, metric, allocators[a]) in median)
            return 1
    return 0
}

function has_reason(workload, words,    a) {
    for (a = 1; a in allocators; a++)
        if ((workload, words, allocators[a]) in reason)
            return 1
    return 0
}

# A page's share says something only where pages are given back one by one.
function is_left_out(workload, words, metric) {
    return metric == "locked_percent" ||
        (workload == "purge" && metric == "page_ns" &&
            !((workload, words, metric, "batch") in median))
}

# One case nobody could do still has a row, for the reasons.
function fill_case(workload, words, base, rows, columns,    m, part, first, c) {
    first = rows
    for (m = 1; m in metrics; m++) {
        split(metrics[m], part, SUBSEP)
        if (part[1] != workload || is_left_out(workload, words, part[2]) ||
            !has_row(workload, words, part[2]))
            continue
        table[++rows, 0] = show_row(workload, words, part[2])
        for (c = 1; c <= columns; c++)
            table[rows, c] = cell(workload, words, part[2], table[0, c], table[0, c] == base)
    }
    if (rows == first && has_reason(workload, words)) {
        table[++rows, 0] = show_row(workload, words, "ns")
        for (c = 1; c <= columns; c++)
            table[rows, c] = cell(workload, words, "ns", table[0, c], 0)
    }
    return rows
}

function print_legend(workload, base,    i, text) {
    text = "Times of `" base "` as they are, those of the others as multiples of it"
    if (ranges_shown)
        text = text ": the median of the turns [least-most]"
    print "\n" (workload == "phases" ? "Resident memory, and multiples of the first phase's" : text) "."
    if (workload == "purge")
        print "What `a page` takes is shown as it is, for all."
    if (marks_shown)
        print "`%L`: so much of the live memory was locked, where it was not all."
    if (workload == "burst" || workload == "keys" || workload == "phases")
        print "Memory is counted from after the first allocation: a pool of a fixed size is there, and locked, by then."
    if (1 in footnotes)
        print ""
    for (i = 1; i in footnotes; i++)
        print "(" i ") " footnotes[i] (i + 1 in footnotes ? "  " : "")
}

function print_workload(workload,    a, c, part, base, rows, columns) {
    split("", table)
    split("", footnotes)
    split("", footnote_at)
    ranges_shown = marks_shown = 0
    base = workload == "purge" ? "locked" : "plain"
    rows = columns = 0
    table[0, 0] = ""
    for (a = 1; a in allocators; a++)
        if ((workload, allocators[a]) in is_in)
            table[0, ++columns] = allocators[a]
    for (c = 1; c in cases; c++) {
        split(cases[c], part, SUBSEP)
        if (part[1] == workload)
            rows = fill_case(workload, part[2], base, rows, columns)
    }
    print "\n## " workload ": " title[workload] "\n"
    print_table(table, rows, columns)
    print_legend(workload, base)
    if (pictures != "")
        print "\n![" workload "](" pictures "/" workload ".svg)"
}

END {
    for (w = 1; w in workloads; w++)
        print_workload(workloads[w])
}
