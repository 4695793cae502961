/* SPDX-License-Identifier: ISC */
/*
 * The canary in the slots of heap/slot_shape.h, without loops. Slack begins at `size`.
 * It is written and read in words and blocks that hold none of the caller's bytes: a load that
 * finds its bytes in two stores, one of the caller's and one of ours, would wait until both have
 * left the store buffer. What would be too many of them fall together instead.
 */
#ifndef SECURE_MALLOC_HEAP_SLOT_SLACK_H
#define SECURE_MALLOC_HEAP_SLOT_SLACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/wipe.h"
#include "heap/canary.h"
#include "heap/slot_shape.h"

typedef uint64_t __attribute__((may_alias, aligned(1))) unaligned_word;

/* The canary's word as it reads at an address that is no multiple of 8. */
INLINE uint64_t canary_turned(uint64_t word, size_t address)
{
    size_t by = 8 * address;
    __asm__("" : "+r"(by)); /* what compilers know of it keeps them from seeing a rotation */
    bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    return little ? word >> by % 64 | word << -by % 64 : word << by % 64 | word >> -by % 64;
}

INLINE char *shape_higher(char *a, char *b)
{
    return a > b ? a : b;
}

INLINE wipe_block *block_at(char *at)
{
    return (wipe_block *)(void *)at;
}

INLINE unaligned_word *word_at(char *at)
{
    return (unaligned_word *)(void *)at;
}

/* The second of at most three: the one behind the first, or the first again where the first and the
 * last are all there is. Slots end at multiples of 16, so the size alone tells. */
INLINE size_t shape_second_word(size_t size)
{
    return (sizeof(canary_word) - size) & sizeof(canary_word);
}

/* Slots above 272 bytes have a block of slack at least: one that begins with it, then those at the
 * multiples of 16 behind, each once or, where there are fewer, the first of them again. */
typedef uint64_t unaligned_block __attribute__((vector_size(16), may_alias, aligned(1)));

INLINE char *shape_blocks(char *start, size_t size)
{
    return start + ((size + BLOCK - 1) & ~(BLOCK - 1));
}

/* Into a slot that is zero. What overlaps is written in an order in which a load finds the most
 * frequent sizes' words and blocks whole. */
INLINE void shape_write_canary(struct slot_shape shape, char *start, char *end, size_t size,
                               uint64_t word)
{
    char *first = start + size;
    char *last = end - sizeof(word);
    if (shape.slack == SLACK_KEY) {
        *word_at(last) = word;
        *word_at(first) = word;
        return;
    }
    uint64_t turned = canary_turned(word, size);
    if (shape.slack == SLACK_WORDS) {
        *word_at(last) = word;
        *word_at(first + shape_second_word(size)) = turned;
        *word_at(first) = turned;
        return;
    }
    *(unaligned_block *)(void *)first = (unaligned_block){turned, turned};
    if (first != end - BLOCK) {
        char *blocks = shape_blocks(start, size);
        *block_at(end - BLOCK) = (wipe_block){word, word};
        UNROLLED
        for (size_t at = 2 * BLOCK; at <= shape.step; at += BLOCK) {
            *block_at(shape_higher(end - at, blocks)) = (wipe_block){word, word};
        }
    }
}

INLINE bool shape_canary_holds(struct slot_shape shape, char *start, char *end, size_t size,
                               uint64_t word)
{
    char *first = start + size;
    char *last = end - sizeof(word);
    if (shape.slack == SLACK_KEY) {
        return *word_at(last) == word && *word_at(first) == word;
    }
    uint64_t turned = canary_turned(word, size);
    if (shape.slack == SLACK_WORDS) {
        return *word_at(last) == word && *word_at(first + shape_second_word(size)) == turned &&
               *word_at(first) == turned;
    }
    wipe_block wrong = (wipe_block)(*(const unaligned_block *)(const void *)first ^
                                    (unaligned_block){turned, turned});
    if (first != end - BLOCK) {
        char *blocks = shape_blocks(start, size);
        wrong |= *block_at(end - BLOCK) ^ (wipe_block) { word, word };
        UNROLLED
        for (size_t at = 2 * BLOCK; at <= shape.step; at += BLOCK) {
            wrong |= *block_at(shape_higher(end - at, blocks)) ^ (wipe_block) { word, word };
        }
    }
    return block_is_zero(wrong);
}

#endif
