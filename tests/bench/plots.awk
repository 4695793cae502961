# SPDX-License-Identifier: ISC
# results.csv -> a script for gnuplot that draws a picture of each workload there is.
#
#   awk -v format=svg|png -f lib.awk -f plots.awk results.csv | gnuplot
#
# An allocator looks the same in all of them. Who has no result is not drawn.

{ read_result($0) }

BEGIN {
    # Colours that can be told apart by those who do not see all of them.
    colour["plain"] = "#555555"
    colour["plain-locked"] = "#999999"
    colour["null"] = "#bbbbbb"
    colour["secure_malloc"] = "#d55e00"
    colour["mimalloc"] = "#0072b2"
    colour["openssl"] = "#e69f00"
    colour["libgcrypt"] = "#56b4e9"
    colour["libsodium"] = "#cc79a7"
    colour["botan"] = "#009e73"
    colour["locked"] = "#d55e00"
    colour["relock"] = "#0072b2"
    colour["each-use"] = "#009e73"
    colour["batch"] = "#cc79a7"
    split("plain plain-locked null secure_malloc mimalloc openssl libgcrypt libsodium botan", list, " ")
    for (i in list)
        point[list[i]] = i + 3
    split("relock each-use batch", list, " ")
    for (i in list)
        point[list[i]] = i + 8
    point["locked"] = point["secure_malloc"]
}

function colour_of(allocator) {
    return allocator in colour ? colour[allocator] : "#000000"
}

# A colour as gnuplot takes it out of data: "#000010" is 16.
function number_of(hexadecimal,    i, sum) {
    sum = 0
    for (i = 2; i <= length(hexadecimal); i++)
        sum = sum * 16 + index("0123456789abcdef", substr(hexadecimal, i, 1)) - 1
    return sum
}

# Points tell lines apart where colours do not.
function line_style(allocator) {
    return "lc rgb '" colour_of(allocator) "' pt " (allocator in point ? point[allocator] : 3) \
        " ps 0.7 lw " (allocator == "secure_malloc" || allocator == "locked" ? 3 : 1.5)
}

# ---- data: blocks of gnuplot, named as they come ----

function begin_block() {
    data = ""
    return "$data" ++blocks
}

# The panel's y axis is to hold this.
function include(y) {
    if (least == "" || y < least)
        least = y
    if (most == "" || y > most)
        most = y
}

# A logarithm takes no other number.
function add_point(x, y, more) {
    if (y <= 0)
        return
    data = data x " " y " " more "\n"
    include(y)
}

# A bar from 1, with what its least and most were.
function add_bar(x, width, key) {
    if (!(key in ratio))
        return
    data = data x " " ratio[key] " " x - width / 2 " " x + width / 2 " " low[key] " " high[key] "\n"
    include(low[key])
    include(high[key])
}

# Prints the block unless it is empty. Was it not?
function end_block(name) {
    if (data == "")
        return 0
    printf "%s << EOD\n%sEOD\n", name, data
    return 1
}

# What one plot command draws, gathered.
function draw(what) {
    drawing = drawing (drawing == "" ? "plot " : ", \\\n    ") what
}

function draw_line(name, allocator) {
    if (end_block(name))
        draw(name " with linespoints " line_style(allocator) " title '" allocator "'")
}

# Powers of ten have names; where there are few of them, so do 2 and 5 times.
function print_logarithmic_y(    few, tics, decade, i, multiple, tic) {
    few = most / least < 300
    tics = ""
    split("1 2 5", multiple, " ")
    for (decade = -4; decade <= 10; decade++)
        for (i = 1; i <= 3; i++) {
            tic = multiple[i] * 10 ^ decade
            tics = tics (tics == "" ? "" : ", ") "'" \
                (i == 1 || few ? (y_axis == "time" ? show_time_tic(tic) : sprintf("%g", tic)) : "") \
                "' " tic (i == 1 || few ? "" : " 1")
        }
    print "set logscale y 10"
    print "set yrange [" least / 1.2 ":" most * 1.2 "] noextend"
    print "set ytics (" tics ")"
}

function show_time_tic(ns) {
    if (ns < 1e3)
        return sprintf("%g ns", ns)
    return ns < 1e6 ? sprintf("%g us", ns / 1e3) : sprintf("%g ms", ns / 1e6)
}

function end_panel() {
    if (drawing == "")
        return
    if (y_axis == "linear")
        print "unset logscale y\nset yrange [0:" most * 1.05 "] noextend\nset ytics autofreq"
    else
        print_logarithmic_y()
    print drawing
    drawing = least = most = ""
}

# ---- frames ----

function begin_picture(workload, text, height) {
    print "reset"
    if (format == "png")
        print "set terminal pngcairo size 960," height " font 'sans,10' background '#ffffff' noenhanced"
    else
        print "set terminal svg size 960," height " font 'sans-serif,12' background '#ffffff' noenhanced"
    print "set output '" workload "." format "'"
    print "set multiplot"
    print "set label 1 '" text "' at screen 0.5,0.965 center"
    print "set border 3 lc rgb '#333333'"
    print "set grid ytics lc rgb '#dddddd' lt 1"
    print "set tics nomirror out"
    print "set tmargin at screen " 1 - 60 / height
    print "set bmargin at screen " 80 / height
    drawing = least = most = ""
}

# Panel number `which` of `count`, with the key beside the last. axis: what y is, "time", "ratio" (to
# plain), "MiB" or "linear".
function begin_panel(which, count, text, axis,    left, width) {
    width = (0.83 - 0.075 * count) / count
    left = 0.075 + (which - 1) * (width + 0.075)
    print "set lmargin at screen " left
    print "set rmargin at screen " left + width
    print "set title '" text "' offset 0,-0.5"
    print which == count ? "set key at screen 0.995,graph 1 right top vertical Left reverse samplen 2" \
        : "unset key"
    if (which > 1)
        print "unset label 1"
    y_axis = axis
    if (axis == "ratio") {
        include(1)
        draw("1 with lines lc rgb '" colour["plain"] "' lw 1.5 title 'plain'")
    }
}

# Names at 1, 2, 3, ...
function named_x(names, count,    i, tics) {
    tics = ""
    for (i = 1; i <= count; i++)
        tics = tics (i > 1 ? ", " : "") "'" names[i] "' " i
    print "set xtics (" tics ")"
    print "set xrange [0.5:" (count > 0 ? count : 1) + 0.5 "]"
}

# The workload's cases that end so, by their first number: x[1], x[2], ...
function find_cases(workload, ending, x,    c, part, word, count) {
    count = 0
    for (c = 1; c in cases; c++) {
        split(cases[c], part, SUBSEP)
        split(part[2], word, " ")
        if (part[1] == workload && part[2] == word[1] ending)
            x[++count] = word[1]
    }
    return count
}

function logarithmic_x(x, count, kind,    i, tics) {
    tics = ""
    for (i = 1; i <= count; i++)
        tics = tics (i > 1 ? ", " : "") "'" \
            (kind == "size" ? show_size(x[i]) : kind == "count" ? show_count(x[i]) : x[i]) "' " x[i]
    print "set logscale x 2"
    print "set xtics (" tics ")" (kind == "size" ? " rotate by 45 right" : "")
    print "set xrange [" x[1] / 1.4 ":" x[count] * 1.4 "]"
}

# Panels that are to be compared have one scale, that of all their cases.
function include_all(workload, metric, is_ratio,    key, part) {
    for (key in median) {
        split(key, part, SUBSEP)
        if (part[1] == workload && part[3] == metric && (is_ratio ? key in ratio : median[key] > 0))
            include(is_ratio ? ratio[key] : median[key])
    }
}

# A line for each allocator over the cases.
function draw_cases(workload, ending, metric, what,    count, x, a, i, key, name) {
    count = find_cases(workload, ending, x)
    for (a = 1; a in allocators; a++) {
        name = begin_block()
        for (i = 1; i <= count; i++) {
            key = workload SUBSEP x[i] ending SUBSEP metric SUBSEP allocators[a]
            if (what == "ratio" ? allocators[a] != "plain" && key in ratio : key in median)
                add_point(x[i], what == "ratio" ? ratio[key] : median[key])
        }
        draw_line(name, allocators[a])
    }
}

# A line for each allocator over these metrics of the one case.
function draw_metrics(workload, list, count, unit,    a, i, key, name) {
    for (a = 1; a in allocators; a++) {
        name = begin_block()
        for (i = 1; i <= count; i++) {
            key = workload SUBSEP "" SUBSEP list[i] SUBSEP allocators[a]
            if (key in median)
                add_point(i, median[key] / unit)
        }
        draw_line(name, allocators[a])
    }
}

# ---- the pictures ----

function draw_pairs(    panel, count, x) {
    begin_picture("pairs", "one buffer, allocated, touched and freed", 600)
    for (panel = 1; panel <= 2; panel++) {
        begin_panel(panel, 2, "time, to plain; " (panel == 1 ? "no other is live" : "four others are live"),
            "ratio")
        include_all("pairs", "ns", 1)
        split("", x)
        count = find_cases("pairs", panel == 1 ? " 0" : " 4", x)
        if (count > 0)
            logarithmic_x(x, count, "size")
        draw_cases("pairs", panel == 1 ? " 0" : " 4", "ns", "ratio")
        end_panel()
    }
}

function draw_replace(    count, x) {
    begin_picture("replace", "1,000 live buffers a thread, one replaced at random", 440)
    count = find_cases("replace", "", x)
    logarithmic_x(x, count, "")
    print "set xlabel 'threads'"
    begin_panel(1, 2, "time of all threads together, to plain", "ratio")
    draw_cases("replace", "", "ns", "ratio")
    end_panel()
    begin_panel(2, 2, "throughput, to that of 1 thread", "linear")
    draw_cases("replace", "", "speedup", "value")
    end_panel()
}

# Bars of each allocator, one for each metric, from the line of plain up or down.
function draw_bars(workload, list, count,    a, i, name, who, names, width) {
    who = 0
    width = 0.7 / count
    print "set style fill solid 0.85 border lc rgb '#333333'"
    for (a = 1; a in allocators; a++) {
        name = begin_block()
        for (i = 1; i <= count; i++)
            add_bar(who + 1 + (i - (count + 1) / 2) * width, width * 0.9, \
                workload SUBSEP "" SUBSEP list[i] SUBSEP allocators[a])
        if (allocators[a] == "plain" || !end_block(name))
            continue
        names[++who] = allocators[a]
        draw(name " using 1:2:3:4:(1):2 with boxxyerror lc rgb '" colour_of(allocators[a]) "' notitle")
        draw(name " using 1:5:(0):($6-$5) with vectors nohead lc rgb '#333333' lw 1.5 notitle")
    }
    named_x(names, who)
}

function draw_handoff(    list) {
    begin_picture("handoff", "allocated by one thread, freed by another", 440)
    begin_panel(1, 1, "time, to plain", "ratio")
    list[1] = "ns"
    draw_bars("handoff", list, 1)
    end_panel()
}

function draw_burst_memory(    a, i, key, name, who, names, left, part, count, label, style) {
    split("back_percent back_purged_percent", part, " ")
    split("all live;all freed;purged", label, ";")
    who = 0
    for (a = 1; a in allocators; a++) {
        key = "burst" SUBSEP "" SUBSEP "peak_rss_bytes" SUBSEP allocators[a]
        if (!(key in median))
            continue
        names[++who] = allocators[a]
        left[who, 1] = median[key]
        for (i = 1; i <= 2; i++) {
            key = "burst" SUBSEP "" SUBSEP part[i] SUBSEP allocators[a]
            left[who, i + 1] = key in median ? left[who, 1] * (1 - median[key] / 100) : 0
        }
    }
    count = who
    named_x(names, count)
    for (i = 1; i <= 3; i++) {
        name = begin_block()
        for (who = 1; who <= count; who++)
            add_point(who + (i - 2) * 0.25, left[who, i] / 1048576, number_of(colour_of(names[who])))
        style = " fs solid " 1.3 - 0.4 * i " border lc rgb '#333333' lc rgb "
        if (end_block(name)) {
            draw(name " using 1:2:(0.22):3 with boxes" style "variable notitle")
            draw("NaN with boxes" style "'" colour["plain"] "' title '" label[i] "'")
        }
    }
}

function draw_burst(    list) {
    begin_picture("burst", "100,000 buffers of 64 bytes at once, then none", 440)
    print "set xtics rotate by 30 right"
    begin_panel(1, 2, "time to allocate (left) and free, to plain", "ratio")
    list[1] = "alloc_ns"
    list[2] = "free_ns"
    draw_bars("burst", list, 2)
    end_panel()
    begin_panel(2, 2, "resident, MiB", "linear")
    draw_burst_memory()
    end_panel()
}

function draw_keys(    count, x) {
    begin_picture("keys", "keys of 32 bytes: all allocated, then all freed", 440)
    count = find_cases("keys", "", x)
    begin_panel(1, 1, "time a key", "time")
    logarithmic_x(x, count, "count")
    print "set xlabel 'keys'"
    draw_cases("keys", "", "ns", "value")
    end_panel()
}

function draw_latency(    list, names, count, i) {
    begin_picture("latency", "the time of one replacement, of 80,000", 440)
    count = split("p50_ns p99_ns p99.9_ns p99.99_ns max_ns", list, " ")
    for (i = 1; i <= count; i++)
        names[i] = show_metric(list[i])
    begin_panel(1, 1, "", "time")
    named_x(names, count)
    draw_metrics("latency", list, count, 1)
    end_panel()
}

function draw_phases(    list, names, count) {
    begin_picture("phases", "10,000 live buffers: resident memory", 440)
    count = split("small_rss_bytes big_rss_bytes again_rss_bytes few_rss_bytes", list, " ")
    split("16 to 128 bytes;512 to 4096 bytes;16 to 128 bytes again;500 are left", names, ";")
    begin_panel(1, 1, "MiB", "MiB")
    named_x(names, count)
    draw_metrics("phases", list, count, 1048576)
    end_panel()
}

function draw_purge(    panel, mode, count, x) {
    begin_picture("purge", "giving locked pages back, without an allocator", 440)
    for (panel = 1; panel <= 2; panel++) {
        mode = panel == 1 ? " alone" : " beside"
        begin_panel(panel, 2, panel == 1 ? "no other thread" : "another thread maps and unmaps", "time")
        include_all("purge", "ns", 0)
        split("", x)
        count = find_cases("purge", mode, x)
        print "set xlabel 'pages'"
        if (count > 0)
            logarithmic_x(x, count, "")
        draw_cases("purge", mode, "ns", "value")
        end_panel()
    }
}

END {
    for (w = 1; w in workloads; w++) {
        if (workloads[w] == "pairs") draw_pairs()
        if (workloads[w] == "replace") draw_replace()
        if (workloads[w] == "handoff") draw_handoff()
        if (workloads[w] == "burst") draw_burst()
        if (workloads[w] == "keys") draw_keys()
        if (workloads[w] == "latency") draw_latency()
        if (workloads[w] == "phases") draw_phases()
        if (workloads[w] == "purge") draw_purge()
        print "unset multiplot"
    }
}
