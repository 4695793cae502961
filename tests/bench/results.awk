# SPDX-License-Identifier: ISC
# raw.csv -> results.csv: medians over the turns of all rounds. A ratio is taken within a turn, so that
# what slows the machine down for a while slows both sides down; then its median, least and most over
# the turns. A turn is named round.turn.
#
#   awk -f lib.awk -f results.awk raw.csv > results.csv

BEGIN {
    print "workload,case,metric,allocator,median,ratio_median,ratio_min,ratio_max,remark"
}

function add(turn, workload, words, metric, allocator, number) {
    note(workloads, workload_at, workload)
    note(cases, case_at, workload SUBSEP words)
    note(metrics, metric_at, workload SUBSEP metric)
    note(allocators, allocator_at, allocator)
    value[turn, workload, words, metric, allocator] = number
}

{
    if (split_csv($0, f) != 6 || f[1] == "turn")
        next
    note(turns, turn_at, f[1])
    if (f[5] != "cannot") {
        add(f[1], f[2], f[3], f[5], f[4], f[6] + 0)
        next
    }
    note(workloads, workload_at, f[2])
    note(cases, case_at, f[2] SUBSEP f[3])
    note(allocators, allocator_at, f[4])
    reason[f[2], f[3], f[4]] = f[6]
}

# ---- what follows from two cases of one allocator, within a turn ----

function derive(workload, words, metric, allocator, numerator, denominator,    r, over, under) {
    for (r = 1; r in turns; r++) {
        over = turns[r] SUBSEP workload SUBSEP numerator SUBSEP "ns" SUBSEP allocator
        under = turns[r] SUBSEP workload SUBSEP denominator SUBSEP "ns" SUBSEP allocator
        if (over in value && under in value && value[under] > 0)
            add(turns[r], workload, words, metric, allocator, value[over] / value[under])
    }
}

function derive_all(    c, part, a, fewest) {
    for (c = 1; c in cases; c++) {
        split(cases[c], part, SUBSEP)
        if (part[1] == "keys" && (fewest == "" || part[2] + 0 < fewest + 0))
            fewest = part[2]
    }
    for (c = 1; c in cases; c++) {
        split(cases[c], part, SUBSEP)
        for (a = 1; a in allocators; a++) {
            if (part[1] == "replace" && part[2] != 1)
                derive("replace", part[2], "speedup", allocators[a], 1, part[2])
            if (part[1] == "keys" && part[2] != fewest)
                derive("keys", part[2], "growth", allocators[a], part[2], fewest)
        }
    }
}

# ---- ratios ----

# What this is compared with, as turn's key without the turn; "" if with nothing.
function base_of(workload, words, metric, allocator) {
    if (!is_time(metric))
        return ""
    if (workload != "purge")
        return workload SUBSEP words SUBSEP metric SUBSEP "plain"
    # Each of its pages is a range for itself: without it, that is a call for each.
    if (metric == "page_ns" && allocator == "batch")
        sub(/^[0-9]+/, "1", words)
    return workload SUBSEP words SUBSEP metric SUBSEP "locked"
}

function sort(list, count,    i, j, moved) {
    for (i = 2; i <= count; i++) {
        moved = list[i]
        for (j = i - 1; j >= 1 && list[j] > moved; j--)
            list[j + 1] = list[j]
        list[j + 1] = moved
    }
}

function middle(list, count) {
    return count % 2 ? list[(count + 1) / 2] : (list[count / 2] + list[count / 2 + 1]) / 2
}

function write_row(workload, words, metric, allocator,    r, key, base, n, m, numbers, ratios, line) {
    base = base_of(workload, words, metric, allocator)
    n = m = 0
    for (r = 1; r in turns; r++) {
        key = turns[r] SUBSEP workload SUBSEP words SUBSEP metric SUBSEP allocator
        if (!(key in value))
            continue
        numbers[++n] = value[key]
        if (base != "" && (turns[r] SUBSEP base) in value && value[turns[r] SUBSEP base] > 0)
            ratios[++m] = value[key] / value[turns[r] SUBSEP base]
    }
    if (n == 0)
        return
    sort(numbers, n)
    sort(ratios, m)
    line = workload "," words "," metric "," allocator "," sprintf("%.6g", middle(numbers, n))
    print line "," (m == 0 ? ",," : sprintf("%.4g,%.4g,%.4g", middle(ratios, m), ratios[1], ratios[m])) ","
}

function write_case(workload, words,    m, a, part) {
    for (a = 1; a in allocators; a++) {
        for (m = 1; m in metrics; m++) {
            split(metrics[m], part, SUBSEP)
            if (part[1] == workload)
                write_row(workload, words, part[2], allocators[a])
        }
        if ((workload, words, allocators[a]) in reason)
            print workload "," words ",cannot," allocators[a] ",,,,," \
                quote(reason[workload, words, allocators[a]])
    }
}

END {
    derive_all()
    for (w = 1; w in workloads; w++)
        for (c = 1; c in cases; c++) {
            split(cases[c], part, SUBSEP)
            if (part[1] == workloads[w])
                write_case(part[1], part[2])
        }
}
