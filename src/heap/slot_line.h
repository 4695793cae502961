/* SPDX-License-Identifier: ISC */
/* Lines: bytes that are handled at once in wide slots. As every processor has them;
 * slot_line_avx2.h stands in for this file where it is included first. */
#ifndef SECURE_MALLOC_HEAP_SLOT_LINE_H
#define SECURE_MALLOC_HEAP_SLOT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/wipe.h"

#define BLOCK     sizeof(wipe_block)
#define SLOT_LINE 16

typedef wipe_block slot_line;

INLINE bool block_is_zero(wipe_block block)
{
    return (block[0] | block[1]) == 0;
}

/* Both of them? */
INLINE bool line_is_zero(slot_line line, wipe_block block)
{
    return block_is_zero(line | block);
}

#endif
