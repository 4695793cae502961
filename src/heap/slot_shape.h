/* SPDX-License-Identifier: ISC */
/*
 * The bytes of slots up to 1,040 bytes, in straight lines: wiping, asking whether they are zero,
 * and the canary.
 *
 * A loop whose length depends on a slot's size costs a mispredicted branch whenever sizes come in
 * no order, and malloc and free would have two of them each: as much time as all the rest. So
 * classes share a shape: as many pieces from a slot's start as up to its end cover each of them,
 * and overlap in the smaller ones. Where they do, the pieces are the same: a load finds the bytes
 * that it wants in one store, and does not wait for two.
 *
 * Pieces are blocks of 16 bytes in the slots of keys, and in others lines of 32, which begin at
 * multiples of 32: no line crosses into the next one of the cache; a store that does counts as two.
 * What lies before the first line and behind the last one is a block or nothing. (A slot whose size
 * is a multiple of 32 begins at one.)
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

/* The pieces, up to `half` bytes of them from the start, and as many up to the end. */
enum shape_in {
    SHAPE_IN_BLOCKS,
    SHAPE_IN_LINES,
    SHAPE_IN_MOVING_LINES /* of slots that are shorter than half, too: see shape_moves */
};

enum shape_slack {
    SHAPE_OF_KEYS,  /* a word or two */
    SHAPE_OF_WORDS, /* three at the most */
    SHAPE_OF_BLOCKS /* a block at the least, and at the most a step and a block */
};

struct slot_shape {
    enum shape_in in;
    enum shape_slack of;
    uint32_t first; /* class, of `least` bytes; each next one is `step` bytes longer */
    uint32_t least;
    uint32_t step;
    uint32_t slack; /* bytes at the least */
    uint32_t half;
    size_t size_max; /* of the caller, in the last of its classes */
};

#define SHAPE(in, of, first, least, step, slack, half, last)                                       \
    ((struct slot_shape){SHAPE_IN_##in, SHAPE_OF_##of, first, least, step, slack, half,            \
                         (last) - (slack)})

/* By the slots that they cover. heap/size_class.c checks that its classes are these. */
#define SHAPE_48          SHAPE(BLOCKS, KEYS, 2, 48, 16, CANARY_MIN, 32, 48)
#define SHAPE_KEY         SHAPE(BLOCKS, KEYS, 1, 32, 16, CANARY_MIN, 32, 64)
#define SHAPE_LONG_KEY    SHAPE(BLOCKS, KEYS, 4, 80, 16, CANARY_MIN, 64, 128)
#define SHAPE_LONGEST_KEY SHAPE(LINES, KEYS, 8, 144, 16, CANARY_MIN, 128, 272)
#define SHAPE_16          SHAPE(BLOCKS, WORDS, 0, 16, 16, CANARY_MIN, 16, 16)
#define SHAPE_272         SHAPE(MOVING_LINES, WORDS, 1, 32, 16, CANARY_MIN, 128, 272)
#define SHAPE_528         SHAPE(LINES, BLOCKS, 17, 336, 64, CANARY_WIDE, 256, 528)
#define SHAPE_1040        SHAPE(LINES, BLOCKS, 21, 656, 128, CANARY_WIDE, 512, 1040)

enum { SHAPE_1040_END = 25 };

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

/* ---- pieces ---- */

INLINE wipe_block *block_at(char *at)
{
    return (wipe_block *)(void *)at;
}

INLINE const wipe_block *block_in(const char *at)
{
    return (const wipe_block *)(const void *)at;
}

INLINE const slot_line *line_in(const char *at)
{
    return (const slot_line *)(const void *)at;
}

INLINE char *shape_first_line(const char *start)
{
    return (char *)(((uintptr_t)start + SLOT_LINE - 1) & ~(uintptr_t)(SLOT_LINE - 1));
}

INLINE char *shape_lines_end(const char *end)
{
    return (char *)((uintptr_t)end & ~(uintptr_t)(SLOT_LINE - 1));
}

/*
 * Slots of one line to eight share a shape: most sizes are these, and who treats them one way need
 * not guess which way the next one goes. Eight lines are four from the first one on, at 0, `one`,
 * `two` and both, and four up to the last one. Where there are fewer, some of them fall together:
 * `one` is 32 in slots from 96 bytes on, `two` is 64 from 160 on, and below both are 0. Computed
 * without comparisons, for compilers make branches of those.
 */
struct shape_moves {
    char *front, *back; /* the first of four lines each */
    size_t one, two;
};

INLINE struct shape_moves shape_moves(const char *start, const char *end)
{
    size_t half_above = ((size_t)(end - start) - SLOT_LINE) / 2; /* at most 120 */
    struct shape_moves moves = {.front = shape_first_line(start)};
    moves.one = (half_above | half_above / 2) & 32;
    moves.two = half_above & 64;
    moves.back = shape_lines_end(end) - SLOT_LINE - moves.one - moves.two;
    return moves;
}

/* ---- zeros ---- */

/* Several chains, else each `or` waits for the one before. */
INLINE bool shape_blocks_are_zero(const char *start, const char *end, size_t half)
{
    wipe_block seen[2] = {{0, 0}, {0, 0}};
    UNROLLED
    for (size_t at = 0; at < half; at += BLOCK) {
        seen[0] |= *block_in(start + at);
        seen[1] |= *block_in(end - BLOCK - at);
    }
    return block_is_zero(seen[0] | seen[1]);
}

/* From the start to the end: these bytes were mostly wiped last, in this order, and a load does not
 * wait for its store if that is long enough ago. */
INLINE bool shape_lines_are_zero(const char *start, const char *end, size_t half)
{
    slot_line seen[4] = {{0}, {0}, {0}, {0}};
    const char *first = shape_first_line(start);
    const char *lines_end = shape_lines_end(end);
    wipe_block left = *block_in(start) | *block_in(end - BLOCK);
    UNROLLED
    for (size_t at = 0; at < half; at += SLOT_LINE) {
        seen[at / SLOT_LINE % 4] |= *line_in(first + at);
    }
    UNROLLED
    for (size_t at = half; at > 0; at -= SLOT_LINE) {
        seen[at / SLOT_LINE % 4] |= *line_in(lines_end - at);
    }
    seen[0] |= seen[1] | (seen[2] | seen[3]);
    return line_is_zero(&seen[0], left);
}

INLINE bool shape_moving_lines_are_zero(const char *start, const char *end)
{
    struct shape_moves by = shape_moves(start, end);
    slot_line front = *line_in(by.front) | *line_in(by.front + by.one);
    slot_line back = *line_in(by.back) | *line_in(by.back + by.one);
    wipe_block left = *block_in(start) | *block_in(end - BLOCK);
    by.front += by.two;
    by.back += by.two;
    front |= *line_in(by.front) | *line_in(by.front + by.one);
    back |= *line_in(by.back) | *line_in(by.back + by.one);
    front |= back;
    return line_is_zero(&front, left);
}

INLINE bool shape_is_zero(struct slot_shape shape, const char *start, const char *end)
{
    return shape.in == SHAPE_IN_BLOCKS  ? shape_blocks_are_zero(start, end, shape.half)
           : shape.in == SHAPE_IN_LINES ? shape_lines_are_zero(start, end, shape.half)
                                        : shape_moving_lines_are_zero(start, end);
}

INLINE void shape_wipe_blocks(char *start, char *end, size_t half)
{
    UNROLLED
    for (size_t at = 0; at < half; at += BLOCK) {
        wipe_one_block(start + at);
        wipe_one_block(end - BLOCK - at);
    }
}

/* The blocks first: a load of one that lies in a line finds it in the line's store. */
INLINE void shape_wipe_lines(char *start, char *end, size_t half)
{
    char *first = shape_first_line(start);
    char *lines_end = shape_lines_end(end);
    wipe_one_block(start);
    wipe_one_block(end - BLOCK);
    UNROLLED
    for (size_t at = 0; at < half; at += SLOT_LINE) {
        line_wipe(first + at);
    }
    UNROLLED
    for (size_t at = half; at > 0; at -= SLOT_LINE) {
        line_wipe(lines_end - at);
    }
}

INLINE void shape_wipe_moving_lines(char *start, char *end)
{
    struct shape_moves by = shape_moves(start, end);
    wipe_one_block(start);
    wipe_one_block(end - BLOCK);
    line_wipe(by.front);
    line_wipe(by.front + by.one);
    line_wipe(by.back);
    line_wipe(by.back + by.one);
    by.front += by.two;
    by.back += by.two;
    line_wipe(by.front);
    line_wipe(by.front + by.one);
    line_wipe(by.back);
    line_wipe(by.back + by.one);
}

INLINE void shape_wipe(struct slot_shape shape, char *start, char *end)
{
    if (shape.in == SHAPE_IN_BLOCKS) {
        shape_wipe_blocks(start, end, shape.half);
    } else if (shape.in == SHAPE_IN_LINES) {
        shape_wipe_lines(start, end, shape.half);
    } else {
        shape_wipe_moving_lines(start, end);
    }
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
    unsigned by = (unsigned)(8 * address) % 64;
    bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    return little ? word >> by | word << (-by % 64) : word << by | word >> (-by % 64);
}

INLINE char *shape_higher(char *a, char *b)
{
    return a > b ? a : b;
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
    if (shape.of == SHAPE_OF_KEYS) {
        *word_at(last) = word;
        *word_at(first) = word;
        return;
    }
    uint64_t turned = canary_turned(word, size);
    if (shape.of == SHAPE_OF_WORDS) {
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
    if (shape.of == SHAPE_OF_KEYS) {
        return *word_at(last) == word && *word_at(first) == word;
    }
    uint64_t turned = canary_turned(word, size);
    if (shape.of == SHAPE_OF_WORDS) {
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
