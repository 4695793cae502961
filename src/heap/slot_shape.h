/* SPDX-License-Identifier: ISC */
/*
 * The bytes of slots up to 1,040 bytes, in straight lines: wiping, asking whether they are zero,
 * and the canary.
 *
 * A loop whose length depends on a slot's size costs a mispredicted branch whenever sizes come in
 * no order, and malloc and free would have two of them each: as much time as all the rest. So the
 * classes of a doubling share a shape: `half` bytes from a slot's start and as many up to its end
 * cover each of them, and overlap in the smaller ones. Where they do, the pieces are the same: a
 * load finds the bytes that it wants in one store, and does not wait for two.
 *
 * Wide slots, above 128 bytes, are all 16 bytes longer than a multiple of 32. So lines of 32 bytes,
 * where the processor has those, fall together too, and one block of 16 is left: the last one, or
 * the first one of a slot that begins in the middle of a line. No line crosses into the next one of
 * the cache; a store that does counts as two.
 */
#ifndef SECURE_MALLOC_HEAP_SLOT_SHAPE_H
#define SECURE_MALLOC_HEAP_SLOT_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/wipe.h"
#include "heap/canary.h"
#include "heap/size_class.h"
#include "heap/slot_line.h"

enum shape_kind {
    SHAPE_IS_KEY,   /* its slack is a word or two */
    SHAPE_IS_SMALL, /* ... three words at the most */
    SHAPE_IS_WIDE   /* ... a block at the least, and at the most a step and a block */
};

struct slot_shape {
    enum shape_kind kind;
    uint32_t first; /* class, of `least` bytes; each next one is `step` bytes longer */
    uint32_t least;
    uint32_t step;
    uint32_t slack; /* bytes at the least */
    uint32_t half;
    size_t size_max; /* of the caller, in the last of its classes */
};

/* By the slots that they cover. heap/size_class.c checks that its classes are these. */
#define SHAPE_16  ((struct slot_shape){SHAPE_IS_SMALL, 0, 16, 16, CANARY_MIN, 16, 16 - CANARY_MIN})
#define SHAPE_KEY ((struct slot_shape){SHAPE_IS_KEY, 1, 32, 16, CANARY_MIN, 32, 64 - CANARY_MIN})
#define SHAPE_48  ((struct slot_shape){SHAPE_IS_KEY, 2, 48, 16, CANARY_MIN, 32, 48 - CANARY_MIN})
#define SHAPE_64  ((struct slot_shape){SHAPE_IS_SMALL, 1, 32, 16, CANARY_MIN, 32, 64 - CANARY_MIN})
#define SHAPE_128 ((struct slot_shape){SHAPE_IS_SMALL, 4, 80, 16, CANARY_MIN, 64, 128 - CANARY_MIN})
#define SHAPE_LONG_KEY                                                                             \
    ((struct slot_shape){SHAPE_IS_KEY, 4, 80, 16, CANARY_MIN, 64, 128 - CANARY_MIN})
#define SHAPE_272                                                                                  \
    ((struct slot_shape){SHAPE_IS_WIDE, 8, 144, 32, CANARY_WIDE, 128, 272 - CANARY_WIDE})
#define SHAPE_528                                                                                  \
    ((struct slot_shape){SHAPE_IS_WIDE, 13, 336, 64, CANARY_WIDE, 256, 528 - CANARY_WIDE})
#define SHAPE_1040                                                                                 \
    ((struct slot_shape){SHAPE_IS_WIDE, 17, 656, 128, CANARY_WIDE, 512, 1040 - CANARY_WIDE})

enum { SHAPE_1040_END = 21 };

/* What the slot for a size has more than the shape's first class: a multiple of its step. */
INLINE size_t shape_above(struct slot_shape shape, size_t size)
{
    return (size + shape.slack + shape.step - 1 - shape.least) & ~(size_t)(shape.step - 1);
}

INLINE size_t shape_class_of(struct slot_shape shape, size_t size)
{
    return shape.first + shape_above(shape, size) / shape.step;
}

INLINE size_t shape_slot_size(struct slot_shape shape, size_t class)
{
    return shape.least + (class - shape.first) * shape.step;
}

/* ---- zeros ---- */

/* Several chains, else each `or` waits for the one before. */
INLINE bool shape_small_is_zero(const char *start, const char *end, size_t half)
{
    wipe_block seen[2] = {{0, 0}, {0, 0}};
    UNROLLED
    for (size_t at = 0; at < half; at += BLOCK) {
        seen[0] |= *(const wipe_block *)(const void *)(start + at);
        seen[1] |= *(const wipe_block *)(const void *)(end - BLOCK - at);
    }
    wipe_block all = seen[0] | seen[1];
    return (all[0] | all[1]) == 0;
}

/* What lies before the first line that begins at a multiple of its length: a block or nothing. */
INLINE size_t shape_before_lines(const char *start)
{
    return (uintptr_t)start & (SLOT_LINE - BLOCK);
}

/* From the start to the end: these bytes were mostly wiped last, in this order, and a load does not
 * wait for its store if that is long enough ago. */
INLINE bool shape_wide_is_zero(const char *start, const char *end, size_t half)
{
    slot_line seen[4] = {{0}, {0}, {0}, {0}};
    size_t before = shape_before_lines(start);
    const char *lines = start + before;
    const char *lines_end = end - BLOCK + before;
    wipe_block left = *(const wipe_block *)(const void *)(before != 0 ? start : end - BLOCK);
    UNROLLED
    for (size_t at = 0; at < half; at += SLOT_LINE) {
        seen[at / SLOT_LINE % 4] |= *(const slot_line *)(const void *)(lines + at);
    }
    UNROLLED
    for (size_t at = half; at > 0; at -= SLOT_LINE) {
        seen[at / SLOT_LINE % 4] |= *(const slot_line *)(const void *)(lines_end - at);
    }
    return line_is_zero((seen[0] | seen[1]) | (seen[2] | seen[3]), left);
}

INLINE bool shape_is_zero(struct slot_shape shape, const char *start, const char *end)
{
    return shape.kind == SHAPE_IS_WIDE ? shape_wide_is_zero(start, end, shape.half)
                                       : shape_small_is_zero(start, end, shape.half);
}

/* The empty asm makes each store one that the compiler must keep, and keeps it from seeing a memset
 * in them. */
INLINE void shape_wipe_block(char *at)
{
    *(wipe_block *)(void *)at = (wipe_block){0, 0};
    __asm__ volatile("" : : : "memory");
}

INLINE void shape_wipe_line(char *at)
{
    *(slot_line *)(void *)at = (slot_line){0};
    __asm__ volatile("" : : : "memory");
}

INLINE void shape_wipe(struct slot_shape shape, char *start, char *end)
{
    if (shape.kind != SHAPE_IS_WIDE) {
        UNROLLED
        for (size_t at = 0; at < shape.half; at += BLOCK) {
            shape_wipe_block(start + at);
            shape_wipe_block(end - BLOCK - at);
        }
        return;
    }
    size_t before = shape_before_lines(start);
    char *lines = start + before;
    char *lines_end = end - BLOCK + before;
    UNROLLED
    for (size_t at = 0; at < shape.half; at += SLOT_LINE) {
        shape_wipe_line(lines + at);
    }
    UNROLLED
    for (size_t at = shape.half; at > 0; at -= SLOT_LINE) {
        shape_wipe_line(lines_end - at);
    }
    shape_wipe_block(before != 0 ? start : end - BLOCK);
}

/* ---- the canary ---- */

/*
 * The slack of a slot begins at `size`. It is written and read in words and blocks that hold none
 * of the caller's bytes: a load that finds its bytes in two stores, one of the caller's and one of
 * ours, would wait until both have left the store buffer. What would be too many of them fall
 * together instead.
 */
typedef uint64_t __attribute__((may_alias, aligned(1))) unaligned_word;

/* The canary's word as it reads at an address that is no multiple of 8. */
INLINE uint64_t canary_turned(uint64_t word, size_t address)
{
    unsigned by = 8 * (unsigned)(address % 8);
    bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    return little ? word >> by | word << (-by % 64) : word << by | word >> (-by % 64);
}

INLINE char *shape_lower(char *a, char *b)
{
    return a < b ? a : b;
}

INLINE char *shape_higher(char *a, char *b)
{
    return a > b ? a : b;
}

INLINE canary_word *word_at(char *at)
{
    return (canary_word *)(void *)at;
}

INLINE wipe_block *block_at(char *at)
{
    return (wipe_block *)(void *)at;
}

/* The word behind the one that `size` lies in, or the last. */
INLINE char *shape_second_word(char *start, char *end, size_t size)
{
    size_t word = sizeof(canary_word);
    return shape_lower(start + (size & ~(word - 1)) + word, end - word);
}

/* Wide slots have a block of slack at least: one that begins with it, then those at the multiples
 * of 16 behind, each once or, where there are fewer, the first of them again. */
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
    unaligned_word *first = (unaligned_word *)(void *)(start + size);
    char *last = end - sizeof(canary_word);
    if (shape.kind == SHAPE_IS_KEY) {
        *word_at(last) = word;
        *first = word;
        return;
    }
    if (shape.kind == SHAPE_IS_SMALL) {
        *word_at(last) = word;
        *word_at(shape_second_word(start, end, size)) = word;
        *first = canary_turned(word, size);
        return;
    }
    uint64_t turned = canary_turned(word, size);
    *(unaligned_block *)(void *)first = (unaligned_block){turned, turned};
    if ((char *)first != end - BLOCK) {
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
    const unaligned_word *first = (const unaligned_word *)(const void *)(start + size);
    char *last = end - sizeof(canary_word);
    if (shape.kind == SHAPE_IS_KEY) {
        return *word_at(last) == word && *first == word;
    }
    uint64_t turned = canary_turned(word, size);
    if (shape.kind == SHAPE_IS_SMALL) {
        uint64_t wrong = (*first ^ turned) | (*word_at(last) ^ word);
        return (wrong | (*word_at(shape_second_word(start, end, size)) ^ word)) == 0;
    }
    wipe_block wrong = (wipe_block)(*(const unaligned_block *)(const void *)first ^
                                    (unaligned_block){turned, turned});
    if ((const char *)first != end - BLOCK) {
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
