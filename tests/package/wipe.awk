# SPDX-License-Identifier: ISC
# usage: objdump -d --no-show-raw-insn LIBRARY | awk -f wipe.awk
# Each function that frees a slot on the fast path stores as many zero bytes, 16 or 32 at once, as its
# slots have. Prints a line for each that does not; exit status 1 if there is one.
#
# A store counts if its register is zero: xored with itself, and not written to since, in the order of
# the text. Two stores of one width with the same words for their place count once: branches that do
# the same must not stand in for each other. But where branches wipe slots of several shapes, every
# store counts, and there must be as many as all of them need. What is stored to the stack counts nothing.

BEGIN {
    # Slots of 48 bytes by themselves, with four stores; those up to 64; and those up to 128.
    needs("secure_free secure_free_sized slot_free_threaded", 64 + 64 + 128, 1)
    several["secure_free"] = several["secure_free_sized"] = several["slot_free_threaded"] = 1
    # Twice: with registers of 16 bytes, and, if they are as long, with those of 32.
    needs("free_16", 16, 2)
    needs("free_key", 272, 2)
    needs("free_528", 528, 2)
    needs("free_1040", 1040, 2)
    # Eight lines at places that are computed, in the same words where a register has moved, and a block
    # on each side: no more, or two branches could wipe half each.
    needs("free_272", 8 * 32 + 2 * 16, 2)
    several["free_272"] = exact["free_272"] = 1
    # A turn of its loop, and the block at the end.
    needs("wipe_long", 144, 1)
}

function needs(names, bytes, copies,    list, i) {
    split(names, list, " ")
    for (i in list) {
        bytes_of[list[i]] = bytes
        copies_of[list[i]] = copies
    }
}

function lacks(what) {
    print what
    lacking++
}

function end_function() {
    if (name in bytes_of) {
        seen[name]++
        lines[name] += stored_32 > 0
        if (stored < bytes_of[name] || (name in exact && stored != bytes_of[name]))
            lacks(name ": stores " stored + 0 " zero bytes, not " bytes_of[name])
    }
    name = ""
}

/^[0-9a-f]+ <.*>:$/ {
    end_function()
    name = $2
    gsub(/[<>:]/, "", name)
    # What a compiler made a function of its own of; ".cold" is none that frees.
    sub(/\.(constprop|isra|part)\.[0-9]+/, "", name)
    stored = stored_32 = 0
    split("", is_zero)
    split("", places)
    next
}

!(name in bytes_of) { next }

{
    text = $0
    sub(/^[^\t]*\t/, "", text)
    sub(/[ \t]+(#.*)?$/, "", text)
    operands = text
    sub(/^[^ \t]+[ \t]*/, "", operands)
}

text ~ /^v?mov(aps|ups|apd|upd|dqa|dqu|ntps|ntpd|ntdq)(8|16|32|64)?[ \t]/ &&
operands ~ /^%[xyz]mm[0-9]+,[^%].*\)$/ && operands !~ /\(%rsp/ {
    register = operands
    sub(/,.*/, "", register)
    place = operands
    sub(/[0-9]+,/, " ", place)
    if ((substr(register, 5) in is_zero) && ((name in several) || !(place in places))) {
        places[place] = 1
        stored += register ~ /^%x/ ? 16 : 32
        stored_32 += register !~ /^%x/
    }
    next
}

text ~ /^call/ { split("", is_zero) }

# The last operand is what is written to.
match(operands, /%[xyz]mm[0-9]+$/) {
    register = substr(operands, RSTART + 4)
    if (text ~ /^v?p?xor/ && operands ~ ("^(%[xyz]mm" register ",?)+$"))
        is_zero[register] = 1
    else
        delete is_zero[register]
}

END {
    end_function()
    for (name in copies_of) {
        if (seen[name] < copies_of[name])
            lacks(name ": found " seen[name] + 0 " times, not " copies_of[name])
        else if (copies_of[name] > 1 && bytes_of[name] >= 32 && lines[name] == 0)
            lacks(name ": no copy stores 32 bytes at once")
    }
    exit lacking > 0
}
