/* SPDX-License-Identifier: ISC */
/* Lines: bytes that wide code handles at once. As every processor has them; slot_line_avx2.h stands
 * in for this file where it is included first. */
#ifndef SECURE_MALLOC_HEAP_SLOT_LINE_H
#define SECURE_MALLOC_HEAP_SLOT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/wipe.h"

#define BLOCK     sizeof(wipe_block)
#define SLOT_LINE (2 * BLOCK)

/* Two blocks to a compiler that has nothing longer. */
typedef uint64_t slot_line __attribute__((vector_size(32), may_alias, aligned(16)));

INLINE void line_wipe(char *at)
{
    wipe_one_block(at);
    wipe_one_block(at + BLOCK);
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
