/* SPDX-License-Identifier: ISC */
/* The pieces in which slots are wiped and checked: blocks of 16 bytes, and lines of two. */
#ifndef SECURE_MALLOC_HEAP_SLOT_LINE_TYPE_H
#define SECURE_MALLOC_HEAP_SLOT_LINE_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/wipe.h"

#define BLOCK     sizeof(wipe_block)
#define SLOT_LINE (2 * BLOCK)

typedef uint64_t slot_line __attribute__((vector_size(32), may_alias, aligned(16)));

INLINE const slot_line *line_in(const char *at)
{
    return (const slot_line *)(const void *)at;
}

#endif
