# SPDX-License-Identifier: ISC
# What the reports share: reading results.csv, and how cases, metrics and numbers are shown to people.
# Loaded before the others: awk -f lib.awk -f tables.awk results.csv

# Splits a line of CSV. Only the last field may be quoted, and then holds anything.
function split_csv(line, fields,    count, at, quoted) {
    quoted = ""
    at = index(line, "\"")
    if (at > 0) {
        quoted = substr(line, at + 1)
        sub(/"$/, "", quoted)
        gsub(/""/, "\"", quoted)
        line = substr(line, 1, at - 1)
    }
    count = split(line, fields, ",")
    if (at > 0)
        fields[count] = quoted
    return count
}

function quote(text) {
    gsub(/"/, "\"\"", text)
    return "\"" text "\""
}

# Keeps what is first seen in the order in which it is seen: list[1], list[2], ... and where[name].
function note(list, where, name) {
    if (!(name in where)) {
        where[name] = ++where[""]
        list[where[name]] = name
    }
}

function is_time(metric) {
    return metric == "ns" || metric ~ /_ns$/
}

# ---- results.csv, as read_result leaves it ----
#
# median, ratio, low and high by (workload, case, metric, allocator); reason by (workload, case,
# allocator). A number that is missing is not there.

function read_result(line,    f, key) {
    if (split_csv(line, f) != 9 || f[1] == "workload")
        return
    note(workloads, workload_at, f[1])
    note(cases, case_at, f[1] SUBSEP f[2])
    if (f[3] == "cannot") {
        note(allocators, allocator_at, f[4])
        is_in[f[1], f[4]] = 1
        reason[f[1], f[2], f[4]] = f[9]
        return
    }
    note(metrics, metric_at, f[1] SUBSEP f[3])
    note(allocators, allocator_at, f[4])
    is_in[f[1], f[4]] = 1
    key = f[1] SUBSEP f[2] SUBSEP f[3] SUBSEP f[4]
    median[key] = f[5] + 0
    if (f[6] != "") {
        ratio[key] = f[6] + 0
        low[key] = f[7] + 0
        high[key] = f[8] + 0
    }
}

# ---- numbers ----

# Three digits or so, as far as they mean something.
function three_digits(value,    size) {
    size = value < 0 ? -value : value
    return sprintf(size < 9.995 ? "%.2f" : size < 99.95 ? "%.1f" : "%.0f", value)
}

function show_time(ns) {
    if (ns < 999.5)
        return three_digits(ns) " ns"
    if (ns < 999500)
        return three_digits(ns / 1e3) " us"
    return ns < 999500000 ? three_digits(ns / 1e6) " ms" : three_digits(ns / 1e9) " s"
}

function show_bytes(bytes,    size) {
    size = bytes < 0 ? -bytes : bytes
    if (size < 1024)
        return sprintf("%.0f B", bytes)
    if (size < 1024 * 1024)
        return three_digits(bytes / 1024) " KiB"
    return three_digits(bytes / 1024 / 1024) " MiB"
}

function show_value(metric, value) {
    if (is_time(metric))
        return show_time(value)
    if (metric ~ /_bytes_a_key$/)
        return sprintf("%.1f B", value)
    if (metric ~ /_bytes$/)
        return show_bytes(value)
    if (metric ~ /_percent$/)
        return sprintf("%.1f %%", value)
    if (metric ~ /(vmas|faults)$/)
        return sprintf("%.0f", value)
    return three_digits(value)
}

# ---- names ----

function show_size(bytes) {
    if (bytes < 1024)
        return bytes " B"
    return bytes < 1024 * 1024 ? bytes / 1024 " KiB" : bytes / 1024 / 1024 " MiB"
}

function show_count(count,    text) {
    text = sprintf("%d", count)
    while (match(text, /[0-9][0-9][0-9][0-9](,|$)/))
        text = substr(text, 1, RSTART) "," substr(text, RSTART + 1)
    return text
}

function show_case(workload, words,    word, count) {
    count = split(words, word, " ")
    if (workload == "pairs")
        return show_size(word[1]) (word[2] == 0 ? "" : ", " word[2] " live")
    if (workload == "replace")
        return word[1] (word[1] == 1 ? " thread" : " threads")
    if (workload == "keys")
        return show_count(word[1]) " keys"
    if (workload == "purge")
        return word[1] (word[1] == 1 ? " page" : " pages") (word[2] == "alone" ? "" : ", " word[2])
    return words
}

function show_metric(metric) {
    if (metric_names == 0) {
        metric_names = 1
        metric_name["ns"] = ""
        metric_name["alloc_ns"] = "allocate"
        metric_name["free_ns"] = "free"
        metric_name["page_ns"] = "a page"
        metric_name["cycle_ns"] = "with the page faults"
        metric_name["max_ns"] = "longest"
        metric_name["speedup"] = "times the throughput of 1"
        metric_name["growth"] = "time to that of the fewest"
        metric_name["peak_rss_bytes"] = "resident, all live"
        metric_name["peak_locked_bytes"] = "locked, all live"
        metric_name["peak_vmas"] = "mappings, all live"
        metric_name["peak_faults"] = "page faults until then"
        metric_name["after_locked_bytes"] = "locked, all freed"
        metric_name["after_vmas"] = "mappings, all freed"
        metric_name["back_percent"] = "came back at once"
        metric_name["back_purged_percent"] = "came back when purged"
        metric_name["locked_bytes_a_key"] = "locked, a key"
        metric_name["resident_bytes_a_key"] = "resident, a key"
        metric_name["vmas"] = "mappings"
        metric_name["small_rss_bytes"] = "resident: small"
        metric_name["big_rss_bytes"] = "resident: big"
        metric_name["again_rss_bytes"] = "resident: small again"
        metric_name["few_rss_bytes"] = "resident: few"
        metric_name["big_to_small"] = "big to small"
        metric_name["again_to_small"] = "small again to small"
        metric_name["few_to_small"] = "few to small"
    }
    if (metric in metric_name)
        return metric_name[metric]
    sub(/_ns$/, "", metric)
    return metric
}

# A row's name: what is the same in all rows of the workload is left out.
function show_row(workload, words, metric,    first, second) {
    first = show_case(workload, words)
    second = show_metric(metric)
    return first == "" || second == "" ? first second : first ": " second
}

# ---- tables ----

function pad(text, width, is_left) {
    return sprintf("%" (is_left ? "-" : "") width "s", text)
}

function dashes(width,    text) {
    text = pad("", width, 1)
    gsub(/ /, "-", text)
    return text
}

# table[row, column], both from 0. Row 0 is the head; column 0 is a name, the others are numbers.
function print_table(table, rows, columns,    r, c, width, line, rule) {
    rule = "|"
    for (c = 0; c <= columns; c++) {
        width[c] = 2
        for (r = 0; r <= rows; r++)
            if (length(table[r, c]) > width[c])
                width[c] = length(table[r, c])
        rule = rule " " (c == 0 ? dashes(width[c]) : dashes(width[c] - 1) ":") " |"
    }
    for (r = 0; r <= rows; r++) {
        line = "|"
        for (c = 0; c <= columns; c++)
            line = line " " pad(table[r, c], width[c], c == 0) " |"
        print line
        if (r == 0)
            print rule
    }
}
