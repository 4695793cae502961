/* SPDX-License-Identifier: ISC */
/* A heap, and a row of buffers of one size in it. */
#ifndef SECURE_MALLOC_TESTS_UNIT_HEAP_ROW_H
#define SECURE_MALLOC_TESTS_UNIT_HEAP_ROW_H

#include "unit/heap_model.h"

enum { SIZE = 100, MANY = 200 };

static struct heap *heap;
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

#endif
