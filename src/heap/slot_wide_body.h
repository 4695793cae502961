/* SPDX-License-Identifier: ISC */
/* What each variant of heap/slot_wide.h consists of; to be included where one is compiled. */
#ifndef SECURE_MALLOC_HEAP_SLOT_WIDE_BODY_H
#define SECURE_MALLOC_HEAP_SLOT_WIDE_BODY_H

#include "heap/slot_wide.h"

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

SLOT_FUNCTIONS(272)
SLOT_FUNCTIONS(528)

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

static NOINLINE void *allocate_longer(struct heap *heap, size_t size, slot_allocate_slowly *slowly)
{
    if (LIKELY(size <= SHAPE_1040.size_max)) {
        return slot_allocate_shaped(heap, size, slowly, SHAPE_1040);
    }
    if (size <= cache_mine->size_max) {
        return allocate_long(heap, size, slowly);
    }
    return slowly(size);
}

static NOINLINE void free_longer(struct heap *heap, size_t class, char *start, slot_record *record,
                                 size_t size)
{
    if (LIKELY(class < SHAPE_1040_END)) {
        slot_free_shaped(heap, class, (struct slot){start, record}, size, SHAPE_1040);
        return;
    }
    slot_free_any(heap, (uint32_t) class, (struct slot){start, record}, size);
}

#define SLOT_WIDE_FUNCTIONS                                                                        \
    .allocate_272 = allocate_272, .allocate_528 = allocate_528,                                    \
    .allocate_longer = allocate_longer, .free_272 = free_272, .free_528 = free_528,                \
    .free_longer = free_longer, .begins_zero = wide_begins_zero

#endif
