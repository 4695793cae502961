/* SPDX-License-Identifier: ISC */
/* Lines, as every processor has them: two blocks. slot_line_avx2.h stands in for this file where it
 * is included first. */
#ifndef SECURE_MALLOC_HEAP_SLOT_LINE_H
#define SECURE_MALLOC_HEAP_SLOT_LINE_H

#include "heap/slot_line_type.h"

INLINE void line_wipe(char *at)
{
    wipe_one_block(at);
    wipe_one_block(at + BLOCK);
}

INLINE void line_or(slot_line *seen, const char *at)
{
    *seen |= *line_in(at);
}

INLINE bool block_is_zero(wipe_block block)
{
    return (block[0] | block[1]) == 0;
}

/* Both of them? */
INLINE bool line_is_zero(const slot_line *line, wipe_block block)
{
    return ((*line)[0] | (*line)[1] | (*line)[2] | (*line)[3] | block[0] | block[1]) == 0;
}

#endif
