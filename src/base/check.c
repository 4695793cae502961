/* SPDX-License-Identifier: ISC */
#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/line.h"

NORETURN COLD void check_failed(const char *condition, const char *file, int line)
{
    struct line text;
    line_start(&text);
    line_text(&text, "fatal: broken invariant: ");
    line_text(&text, condition);
    line_text(&text, ", ");
    line_text(&text, file);
    line_text(&text, ":");
    line_number(&text, (uint64_t)line);
    line_write(&text);
    abort();
}
