/* SPDX-License-Identifier: ISC */
/*
 * The bytes of slots up to 1,040 bytes, in straight lines: wiping, and asking whether they are
 * zero. heap/slot_slack.h does their canary.
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
#include "base/check.h"
#include "base/wipe.h"
#include "heap/size_class.h"
#include "heap/slot_line.h"

/* Up to `half` bytes of them from the start, and as many up to the end. */
enum shape_pieces {
    PIECES_BLOCKS,
    PIECES_LINES,
    PIECES_MOVING_LINES /* of slots that are shorter than half, too: see shape_moves */
};

enum shape_slack {
    SLACK_KEY,   /* a word or two */
    SLACK_WORDS, /* three at the most */
    SLACK_BLOCKS /* a block at the least, and at the most a step and a block */
};

struct slot_shape {
    enum shape_pieces pieces;
    enum shape_slack slack;
    uint32_t first; /* class, of `least` bytes; each next one is `step` bytes longer */
    uint32_t least;
    uint32_t step;
    uint32_t slack_min;
    uint32_t half;
    size_t size_max; /* of the caller, in the last of its classes */
};

#define SHAPE(pieces, slack, first, least, step, slack_min, half, last)                            \
    ((struct slot_shape){PIECES_##pieces, SLACK_##slack, first, least, step, slack_min, half,      \
                         (last) - (slack_min)})

/* By the slots that they cover. heap/size_class.c checks that its classes are these. */
#define SHAPE_48          SHAPE(BLOCKS, KEY, 2, 48, 16, CANARY_MIN, 32, 48)
#define SHAPE_KEY         SHAPE(BLOCKS, KEY, 1, 32, 16, CANARY_MIN, 32, 64)
#define SHAPE_LONG_KEY    SHAPE(BLOCKS, KEY, 4, 80, 16, CANARY_MIN, 64, 128)
#define SHAPE_LONGEST_KEY SHAPE(LINES, KEY, 8, 144, 16, CANARY_MIN, 128, 272)
#define SHAPE_16          SHAPE(BLOCKS, WORDS, 0, 16, 16, CANARY_MIN, 16, 16)
#define SHAPE_272         SHAPE(MOVING_LINES, WORDS, 1, 32, 16, CANARY_MIN, 128, 272)
#define SHAPE_528         SHAPE(LINES, BLOCKS, 17, 336, 64, CANARY_WIDE, 256, 528)
#define SHAPE_1040        SHAPE(LINES, BLOCKS, 21, 656, 128, CANARY_WIDE, 512, 1040)

/* What the slot for a size has more than the shape's first class: a multiple of its step. */
INLINE size_t shape_above(struct slot_shape shape, size_t size)
{
    return (size + shape.slack_min + shape.step - 1 - shape.least) & ~(size_t)(shape.step - 1);
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

INLINE const wipe_block *block_in(const char *at)
{
    return (const wipe_block *)(const void *)at;
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
enum { MOVING_LINES = 8 };

struct shape_moves {
    char *line[MOVING_LINES];
};

INLINE struct shape_moves shape_moves(const char *start, const char *end)
{
    size_t size = (size_t)(end - start);
    size_t half_above = (size - SLOT_LINE) / 2; /* at most 120 */
    size_t one = (half_above | half_above / 2) & 32;
    size_t two = half_above & 64;
    char *front = shape_first_line(start);
    char *back = shape_lines_end(end) - SLOT_LINE - one - two;
    __asm__("" : "+r"(back)); /* or the lines' end is kept too, and a register for it saved */
    /* Or a slot of 32 bytes, with no whole line in it, would be left. */
    INVARIANT(size % SLOT_LINE != 0 || front == start);
    return (struct shape_moves){{front, front + one, back, back + one, front + two,
                                 front + two + one, back + two, back + two + one}};
}

/* ---- zeros ---- */

/* Two chains, for two loads a turn. */
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
    const char *first = shape_first_line(start);
    const char *lines_end = shape_lines_end(end);
    wipe_block left = *block_in(start) | *block_in(end - BLOCK);
    slot_line seen[2] = {*line_in(first), *line_in(first + SLOT_LINE)};
    UNROLLED
    for (size_t at = 2 * SLOT_LINE; at < half; at += SLOT_LINE) {
        line_or(&seen[at / SLOT_LINE % 2], first + at);
    }
    UNROLLED
    for (size_t at = half; at > 0; at -= SLOT_LINE) {
        line_or(&seen[at / SLOT_LINE % 2], lines_end - at);
    }
    seen[0] |= seen[1];
    return line_is_zero(&seen[0], left);
}

INLINE bool shape_moving_lines_are_zero(const char *start, const char *end)
{
    struct shape_moves at = shape_moves(start, end);
    wipe_block left = *block_in(start) | *block_in(end - BLOCK);
    slot_line seen[2] = {*line_in(at.line[0]), *line_in(at.line[1])};
    UNROLLED
    for (size_t i = 2; i < MOVING_LINES; i++) {
        line_or(&seen[i % 2], at.line[i]);
    }
    seen[0] |= seen[1];
    return line_is_zero(&seen[0], left);
}

INLINE bool shape_is_zero(struct slot_shape shape, const char *start, const char *end)
{
    return shape.pieces == PIECES_BLOCKS  ? shape_blocks_are_zero(start, end, shape.half)
           : shape.pieces == PIECES_LINES ? shape_lines_are_zero(start, end, shape.half)
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
    struct shape_moves at = shape_moves(start, end);
    wipe_one_block(start);
    wipe_one_block(end - BLOCK);
    UNROLLED
    for (size_t i = 0; i < MOVING_LINES; i++) {
        line_wipe(at.line[i]);
    }
}

INLINE void shape_wipe(struct slot_shape shape, char *start, char *end)
{
    if (shape.pieces == PIECES_BLOCKS) {
        shape_wipe_blocks(start, end, shape.half);
    } else if (shape.pieces == PIECES_LINES) {
        shape_wipe_lines(start, end, shape.half);
    } else {
        shape_wipe_moving_lines(start, end);
    }
}

#endif
