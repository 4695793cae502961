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

/* Is every byte zero? start is aligned to 16, size is a multiple of 16. */
bool wipe_holds(const void *start, size_t size);

/* Are they the same? In time that depends on size alone. */
bool bytes_equal(const void *a, const void *b, size_t size);

/*
 * The slots of the fast path: start is aligned to 16, size is a multiple of 16 and at least 16.
 * Aligned 16-byte stores: a loop that gcc turns into `rep stos` costs as much as the rest of free,
 * and unaligned head and tail stores stall the loads that follow. The empty asm makes each store
 * one that the compiler must keep, and keeps it from seeing a memset in the loop.
 */
typedef uint64_t wipe_block __attribute__((vector_size(16), may_alias));

INLINE void wipe_slot(void *start, size_t size)
{
    char *at = start;
    char *end = at + size;
    do {
        *(wipe_block *)at = (wipe_block){0, 0};
        __asm__ volatile("" : "+r"(at) : : "memory");
        at += sizeof(wipe_block);
    } while (at != end);
}

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
