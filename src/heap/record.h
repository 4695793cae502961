/* SPDX-License-Identifier: ISC */
/*
 * Records: what is known of a slot, in 16 bits, or of a large buffer, in 64: its length + 1 while
 * it is live, 0 when it is free. One atomic step at free answers both "was it live?" and "how long
 * was it?", so a double free is seen exactly, across threads too.
 *
 * There is room for a slot's record at every 16 bytes of a slab, and it lies where the slot begins:
 * free finds it from the address alone, and what lies within a slot, or in the waste at a slab's
 * end, has a record that is 0.
 *
 * The top bit is a claim: somebody other than the owner (secure_zeroize), or the owner for longer
 * than one step (secure_protect, secure_realloc, freeing a large buffer), works on the buffer. Who
 * meets a claim waits for it to end. A claimed buffer stays live, so its pages stay its own.
 *
 * secure_zeroize may interrupt a claim's holder in a signal handler, and then cannot wait for it.
 * It passes over what its own thread holds; the holder sees that heap->zeroized has moved on and
 * wipes.
 */
#ifndef SECURE_MALLOC_HEAP_RECORD_H
#define SECURE_MALLOC_HEAP_RECORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

typedef _Atomic uint16_t slot_record;
typedef _Atomic uint64_t large_record;

#define SLOT_CLAIMED  UINT16_C(0x8000)
#define LARGE_CLAIMED (UINT64_C(1) << 63)

INLINE uint16_t slot_record_of(size_t size)
{
    return (uint16_t)(size + 1);
}

/* Neither free nor claimed. */
INLINE bool slot_record_is_live(uint16_t record)
{
    return (uint16_t)(record - 1) < (uint16_t)(SLOT_CLAIMED - 1);
}

INLINE size_t slot_record_size(uint16_t record)
{
    return (size_t)(record & (SLOT_CLAIMED - 1)) - 1;
}

INLINE uint64_t large_record_of(size_t size)
{
    return (uint64_t)size + 1;
}

INLINE size_t large_record_size(uint64_t record)
{
    return (size_t)((record & (LARGE_CLAIMED - 1)) - 1);
}

#endif
