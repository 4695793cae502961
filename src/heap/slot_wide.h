/* SPDX-License-Identifier: ISC */
/*
 * The fast path of slots above 128 bytes, compiled once for every processor and once for each that
 * has longer registers. They are most of the work there: of two stores' worth of time that a
 * 1,024-byte buffer takes to wipe, one is saved.
 */
#ifndef SECURE_MALLOC_HEAP_SLOT_WIDE_H
#define SECURE_MALLOC_HEAP_SLOT_WIDE_H

#include "heap/slot.h"

/* The best of them for this processor. */
const struct slot_wide *slot_wide_best(void);

extern const struct slot_wide slot_wide_any;  /* for every processor */
extern const struct slot_wide slot_wide_avx2; /* where the build has it */

/* ---- the body of each ---- */

INLINE bool wide_begins_zero(const void *memory)
{
    const char *start = memory;
    slot_line seen[4] = {{0}, {0}, {0}, {0}};
    UNROLLED
    for (size_t at = 0; at < CHECK_FREE_MAX; at += SLOT_LINE) {
        seen[at / SLOT_LINE % 4] |= *(const slot_line *)(const void *)(start + at);
    }
    return line_is_zero((seen[0] | seen[1]) | (seen[2] | seen[3]), (wipe_block){0, 0});
}

/* Of a longer slot only the beginning is checked. */
INLINE void *wide_allocate_long(struct heap *heap, size_t size, slot_allocate_slowly *slowly)
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

SLOT_FUNCTIONS(272)
SLOT_FUNCTIONS(528)
SLOT_FUNCTIONS(1040)

static NOINLINE void *allocate_long(struct heap *heap, size_t size, slot_allocate_slowly *slowly)
{
    return wide_allocate_long(heap, size, slowly);
}

static NOINLINE void free_long(struct heap *heap, size_t class, char *start, slot_record *record,
                               size_t size)
{
    slot_free_any(heap, (uint32_t) class, (struct slot){start, record}, size);
}

INLINE void *wide_allocate(struct heap *heap, size_t size, slot_allocate_slowly *slowly)
{
    if (size <= SHAPE_272.size_max) {
        return allocate_272(heap, size, slowly);
    }
    if (size <= SHAPE_528.size_max) {
        return allocate_528(heap, size, slowly);
    }
    if (size <= SHAPE_1040.size_max) {
        return allocate_1040(heap, size, slowly);
    }
    if (size <= cache_mine->size_max) {
        return allocate_long(heap, size, slowly);
    }
    return slowly(size);
}

INLINE void wide_free(struct heap *heap, size_t class, char *start, slot_record *record,
                      size_t size)
{
    if (class < SHAPE_528.first) {
        free_272(heap, class, start, record, size);
    } else if (class < SHAPE_1040.first) {
        free_528(heap, class, start, record, size);
    } else if (class < SHAPE_1040_END) {
        free_1040(heap, class, start, record, size);
    } else {
        free_long(heap, class, start, record, size);
    }
}

#endif
