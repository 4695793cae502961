# SPDX-License-Identifier: ISC
# results.csv -> the numbers that secure_malloc is to reach, and whether it does.
#
#   awk -f lib.awk -f targets.awk results.csv

{ read_result($0) }

function key_of(workload, words, metric) {
    return workload SUBSEP words SUBSEP metric SUBSEP "secure_malloc"
}

function begin(text) {
    what = text
    worst = why = where = span = ""
    count = 0
}

# Of several cases the one counts that is furthest from its limit.
function consider(workload, words, metric, is_ratio, is_least,    key, found) {
    if ((workload, words, "secure_malloc") in reason) {
        why = reason[workload, words, "secure_malloc"]
        where = show_case(workload, words)
        return
    }
    key = key_of(workload, words, metric)
    if (is_ratio ? !(key in ratio) : !(key in median))
        return
    found = is_ratio ? ratio[key] : median[key]
    shown = is_ratio ? "" : metric
    if (count++ == 0 || (is_least ? found < worst : found > worst)) {
        worst = found
        span = is_ratio && low[key] != high[key] ? \
            " [" three_digits(low[key]) "-" three_digits(high[key]) "]" : ""
        if (why == "")
            where = show_case(workload, words)
    }
}

function add_row(name, measured, bound, verdict) {
    rows++
    table[rows, 0] = name
    table[rows, 1] = measured
    table[rows, 2] = bound
    table[rows, 3] = verdict
}

function limit(sign, value, unit,    measured, verdict) {
    if (why != "") {
        measured = "cannot: " why (where == "" ? "" : " (" where ")")
        verdict = "missed"
    } else if (count == 0) {
        measured = "-"
        verdict = "not measured"
    } else {
        measured = (count > 1 ? where ": " : "") \
            (shown == "" ? three_digits(worst) : show_value(shown, worst)) span
        verdict = (sign == "<=" ? worst <= value : worst >= value) ? "met" : "missed"
    }
    add_row(what, measured, sign " " value unit, verdict)
}

function ratio_target(text, workload, words, metric, most) {
    begin(text)
    consider(workload, words, metric, 1, 0)
    limit("<=", most, "")
}

function value_target(text, workload, words, metric, sign, value, unit) {
    begin(text)
    consider(workload, words, metric, 0, sign == ">=")
    limit(sign, value, unit)
}

function pairs_target(text, sizes, most,    count_of, i, size) {
    begin(text)
    count_of = split(sizes, size, " ")
    for (i = 1; i <= count_of; i++) {
        consider("pairs", size[i] " 0", "ns", 1, 0)
        consider("pairs", size[i] " 4", "ns", 1, 0)
    }
    limit("<=", most, "")
}

END {
    rows = -1
    add_row("secure_malloc", "measured", "limit", "")
    pairs_target("a pair of 32 B, to plain", "32", 0.7)
    pairs_target("the worst pair up to 1 KiB, to plain", "16 32 64 256 1024", 0.8)
    pairs_target("the worst pair from 4 KiB on, to plain", "4096 16384 65536 262144 1048576", 1)
    ratio_target("replace, 1 thread, to plain", "replace", "1", "ns", 0.9)
    ratio_target("replace, 2 threads, to plain", "replace", "2", "ns", 0.8)
    value_target("replace, 2 threads to 1, throughput", "replace", "2", "speedup", ">=", 1.4, "")
    ratio_target("handoff, to plain", "handoff", "", "ns", 0.6)
    ratio_target("latency, p99.9, to plain", "latency", "", "p99.9_ns", 1)
    ratio_target("burst, allocate, to plain", "burst", "", "alloc_ns", 1)
    ratio_target("burst, free, to plain", "burst", "", "free_ns", 1)
    value_target("burst, came back at once", "burst", "", "back_percent", ">=", 98, " %")
    value_target("burst, came back when purged", "burst", "", "back_purged_percent", ">=", 99.5, " %")
    value_target("phases, small again to small", "phases", "", "again_to_small", "<=", 1.5, "")
    value_target("1,000,000 keys, locked, a key", "keys", "1000000", "locked_bytes_a_key", "<=", 52, " B")
    value_target("1,000,000 keys, resident, a key", "keys", "1000000", "resident_bytes_a_key", "<=", 56, " B")
    value_target("1,000,000 keys, mappings", "keys", "1000000", "vmas", "<=", 40, "")
    value_target("10,000,000 keys to 10,000, time a key", "keys", "10000000", "growth", "<=", 1.3, "")
    print "## Numbers to reach\n"
    print_table(table, rows, 3)
}
