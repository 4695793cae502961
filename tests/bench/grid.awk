# SPDX-License-Identifier: ISC
# Lines "row<tab>column<tab>cell" -> a Markdown table, rows and columns in the order in which they come.
#
#   awk -f lib.awk -f grid.awk

BEGIN { FS = "\t" }

{
    note(row_names, row_at, $1)
    note(column_names, column_at, $2)
    table[row_at[$1], column_at[$2]] = $3
}

END {
    table[0, 0] = ""
    for (r = 1; r in row_names; r++)
        table[r, 0] = row_names[r]
    for (c = 1; c in column_names; c++)
        table[0, c] = column_names[c]
    for (r = 1; r in row_names; r++)
        for (c = 1; c in column_names; c++)
            if (table[r, c] == "")
                table[r, c] = "-"
    print_table(table, row_at[""], column_at[""])
}
