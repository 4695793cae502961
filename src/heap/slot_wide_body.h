/* SPDX-License-Identifier: ISC */
/* What each variant of heap/slot_wide.h consists of; to be included where one is compiled. */
#ifndef SECURE_MALLOC_HEAP_SLOT_WIDE_BODY_H
#define SECURE_MALLOC_HEAP_SLOT_WIDE_BODY_H

#include "heap/slot_wide.h"

INLINE bool wide_begins_zero(const void *memory)
{
    const char *start = memory;
    slot_line seen[2] = {*line_in(start), *line_in(start + SLOT_LINE)};
    UNROLLED
    for (size_t at = 2 * SLOT_LINE; at < CHECK_FREE_MAX; at += SLOT_LINE) {
        line_or(&seen[at / SLOT_LINE % 2], start + at);
    }
    seen[0] |= seen[1];
    return line_is_zero(&seen[0], (wipe_block){0, 0});
}

/* The two for a shape, a function each: several in one would need more registers than there are. */
#define SLOT_FUNCTIONS(name, shape)                                                                \
    static NOINLINE void *allocate_##name(struct heap *heap, size_t size,                          \
                                          slot_allocate_slowly *slowly)                            \
    {                                                                                              \
        return slot_allocate_shaped(heap, size, slowly, shape);                                    \
    }                                                                                              \
    static NOINLINE void free_##name(struct heap *heap, char *start, size_t size, size_t class,    \
                                     slot_record *record)                                          \
    {                                                                                              \
        slot_free_shaped(heap, class, (struct slot){start, record}, size, shape);                  \
    }

SLOT_FUNCTIONS(key, SHAPE_LONGEST_KEY)
SLOT_FUNCTIONS(16, SHAPE_16)
SLOT_FUNCTIONS(272, SHAPE_272)
SLOT_FUNCTIONS(528, SHAPE_528)
SLOT_FUNCTIONS(1040, SHAPE_1040)

/* Of a longer slot only the beginning is checked. */
static NOINLINE void *allocate_long(struct heap *heap, size_t size, slot_allocate_slowly *slowly)
{
    uint32_t class = size_class_of(size);
    struct magazine *magazine = &cache_mine->magazines[class];
    char *start = NULL;
    slot_record *record = NULL;
    if (UNLIKELY(!magazine_pop(magazine, &start, &record))) {
        return slowly(size);
    }
    counter_add(&magazine->live_bytes, size);
    if (UNLIKELY(!wide_begins_zero(start))) {
        return slot_issue_dirty(heap, start, record, size);
    }
    canary_write(start, size, heap->classes.at[class].slot_size, canary_of(heap, start));
    atomic_store_explicit(record, slot_record_of(size), memory_order_release);
    return start;
}

/* Who knows nothing of the next size guesses that it is the most frequent one, each time: one
 * question of these at the most is answered against the guess, and none where it is right. So the
 * most sizes that one shape can do come last. */
static void *allocate_other(struct heap *heap, size_t size, slot_allocate_slowly *slowly)
{
    if (size > SHAPE_528.size_max) {
        if (LIKELY(size <= SHAPE_1040.size_max)) {
            return allocate_1040(heap, size, slowly);
        }
        return size <= cache_mine->size_max ? allocate_long(heap, size, slowly) : slowly(size);
    }
    if (size > SHAPE_272.size_max) {
        return allocate_528(heap, size, slowly);
    }
    if (UNLIKELY(size <= SHAPE_16.size_max)) {
        return allocate_16(heap, size, slowly);
    }
    return allocate_272(heap, size, slowly);
}

static void free_other(struct heap *heap, char *start, size_t size, size_t class,
                       slot_record *record)
{
    if (class >= SHAPE_1040.first) {
        if (LIKELY(class <= shape_class_of(SHAPE_1040, SHAPE_1040.size_max))) {
            free_1040(heap, start, size, class, record);
        } else {
            slot_free_any(heap, (uint32_t) class, (struct slot){start, record}, size);
        }
    } else if (class >= SHAPE_528.first) {
        free_528(heap, start, size, class, record);
    } else if (LIKELY(class >= SHAPE_272.first)) {
        free_272(heap, start, size, class, record);
    } else {
        free_16(heap, start, size, class, record);
    }
}

#define SLOT_WIDE_FUNCTIONS                                                                        \
    .allocate_key = allocate_key, .allocate = allocate_other, .free_key = free_key,                \
    .free = free_other, .begins_zero = wide_begins_zero

#endif
