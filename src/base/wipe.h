/* SPDX-License-Identifier: ISC */
/*
 * Overwriting with zeros so that the compiler keeps it, and asking whether bytes are zero.
 * Async-signal-safe.
 */
#ifndef SECURE_MALLOC_BASE_WIPE_H
#define SECURE_MALLOC_BASE_WIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

/* Any memory, any size. */
void wipe(void *start, size_t size);

/* As wipe, but TSan does not look: for secure_zeroize, which races with the program on purpose. */
void wipe_racing(void *start, size_t size);

/* Are they the same? In time that depends on size alone. */
bool bytes_equal(const void *a, const void *b, size_t size);

typedef uint64_t wipe_block __attribute__((vector_size(16), may_alias));

/* at is aligned to 16. The empty asm makes it a store that the compiler must keep, and keeps it
 * from making a memset of several. */
INLINE void wipe_one_block(void *at)
{
    *(wipe_block *)at = (wipe_block){0, 0};
    __asm__ volatile("" : : : "memory");
}

/* Is every byte zero? start is aligned to 16, size is a multiple of 16 and at least 16. */
INLINE bool wipe_slot_holds(const void *start, size_t size)
{
    const char *at = start;
    const char *end = at + size;
    wipe_block seen = {0, 0};
    do {
        seen |= *(const wipe_block *)at;
        at += sizeof(wipe_block);
    } while (at != end);
    return (seen[0] | seen[1]) == 0;
}

#endif
