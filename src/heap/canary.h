/* SPDX-License-Identifier: ISC */
/*
 * The canary fills the slack behind a buffer, from the first byte after the caller's, so an
 * overflow of one byte is seen. It is one word a buffer, made from a random key and the address,
 * repeated at every multiple of 8. Its bytes are even and have the top bit set: an overflow by what
 * programs mostly write, a string's NUL, text, small numbers, 0xff, is never taken for it.
 */
#ifndef SECURE_MALLOC_HEAP_CANARY_H
#define SECURE_MALLOC_HEAP_CANARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "heap/heap.h"

typedef uint64_t __attribute__((may_alias)) canary_word;

#define CANARY_SET  UINT64_C(0x8080808080808080)
#define CANARY_KEEP UINT64_C(0xfefefefefefefefe)

/* start: of the slot or the buffer, aligned to 16. The constants are read from memory: as operands
 * of an instruction they are shorter than as numbers. */
INLINE uint64_t canary_of(const struct heap *heap, const void *start)
{
    const struct canary_key *key = &heap->canary_key;
    uint64_t word = ((uint64_t)(uintptr_t)start ^ key->start) * key->factor;
    /* The bits that depend on most of the address come first. */
    return (__builtin_bswap64(word) | key->set) & key->keep;
}

/* The bytes of a word from the size's first slack byte on. */
INLINE uint64_t canary_mask(size_t size)
{
    unsigned bits = 8 * (unsigned)(size % 8);
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? UINT64_MAX << bits : UINT64_MAX >> bits;
}

/* Writes the slack [size, end) of a buffer; end is a multiple of 8. The caller's bytes stay. */
INLINE void canary_write(void *start, size_t size, size_t end, uint64_t word)
{
    size_t at = size & ~(size_t)7;
    canary_word *first = (canary_word *)(void *)((char *)start + at);
    if (at == end) {
        return;
    }
    uint64_t mask = canary_mask(size);
    *first = (*first & ~mask) | (word & mask);
    for (at += 8; at < end; at += 8) {
        *(canary_word *)(void *)((char *)start + at) = word;
    }
}

INLINE bool canary_holds(const void *start, size_t size, size_t end, uint64_t word)
{
    size_t at = size & ~(size_t)7;
    const canary_word *first = (const canary_word *)(const void *)((const char *)start + at);
    if (at == end) {
        return true;
    }
    uint64_t wrong = (*first ^ word) & canary_mask(size);
    for (at += 8; at < end; at += 8) {
        wrong |= *(const canary_word *)(const void *)((const char *)start + at) ^ word;
    }
    return wrong == 0;
}

#endif
