/* SPDX-License-Identifier: ISC */
/* A heap, and a row of buffers of one size in it. */
#ifndef SECURE_MALLOC_TESTS_UNIT_HEAP_ROW_H
#define SECURE_MALLOC_TESTS_UNIT_HEAP_ROW_H

#include "unit/fresh_heap.h"
#include "unit/heap_model.h"

enum { SIZE = 100, MANY = 200 };

static char *buffers[MANY];

static inline void take(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buffers[i] = keeper_get(heap, SIZE);
    }
}

static inline void give(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        heap_free(heap, buffers[i], SIZE);
    }
}

/* ---- its magazine, and the stock of the first home ---- */

static inline struct magazine *mine(void)
{
    return &cache_mine->magazines[size_class_of(SIZE)];
}

static inline struct magazine *stocked(void)
{
    return &heap->stocks[0]->magazines[size_class_of(SIZE)];
}

static inline uint64_t free_slots(void)
{
    return counter_read(&heap->slabs[size_class_of(SIZE)].free_slots);
}

/* Takes what the magazine holds. */
static inline void drain(void)
{
    while (magazine_count(mine()) > 0) {
        (void)keeper_get(heap, SIZE);
    }
}

/* Frees buffers from `from` on, until the magazine has overflown. Returns the next. */
static inline size_t overflow_once(size_t from)
{
    uint32_t before = 0;
    do {
        before = magazine_count(mine());
        give(from, from + 1);
        from++;
    } while (magazine_count(mine()) > before);
    return from;
}

#endif
