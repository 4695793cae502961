/* SPDX-License-Identifier: ISC */
/* For processors with AVX2: this file alone is compiled for them, and none of it runs on others. */
#include "heap/slot_line_avx2.h"
#include "heap/slot_wide_body.h"

INLINE void wipe_lines(char *at, size_t size)
{
    enum { AT_ONCE = 4 * SLOT_LINE };
    char *end = at + size;
    char *lines_end = end - size % AT_ONCE;
    for (; at < lines_end; at += AT_ONCE) {
        UNROLLED
        for (size_t i = 0; i < AT_ONCE; i += SLOT_LINE) {
            line_wipe(at + i);
        }
    }
    for (; at < end; at += BLOCK) {
        wipe_one_block(at);
    }
}

/* glibc's memset uses `rep stosb` from 2 KiB on, which takes up to twice the time of this. What the
 * next owner is going to check comes last, so that it is still at hand then. */
static void wipe_long(void *start, size_t size)
{
    if (size <= CHECK_FREE_MAX) {
        wipe_lines(start, size);
        return;
    }
    char *lines = shape_first_line(start);
    char *end = (char *)start + size;
    wipe_lines(lines + CHECK_FREE_MAX, (size_t)(end - lines) - CHECK_FREE_MAX);
    wipe_lines(lines, CHECK_FREE_MAX);
    wipe_one_block(start);
}

const struct slot_wide slot_wide_avx2 = {
    SLOT_WIDE_FUNCTIONS,
    .wipe = wipe_long,
};
