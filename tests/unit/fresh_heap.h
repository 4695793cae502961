/* SPDX-License-Identifier: ISC */
/* A heap as the api would have it, new for each test of a file. */
#ifndef SECURE_MALLOC_TESTS_UNIT_FRESH_HEAP_H
#define SECURE_MALLOC_TESTS_UNIT_FRESH_HEAP_H

/* Before the variables, whose names are those of many parameters. */
#include "heap/magazine.h"
#include "heap/slot.h"
#include "unit/heap_model.h"
#include "unit/layer.h"

static struct heap *heap;
static struct heap_config config;

static inline int fresh(void **state)
{
    (void)state;
    config = layer_heap_config();
    heap = layer_heap(&config);
    return 0;
}

/* Another one, for what has been changed in its configuration. */
static inline void start_over(void)
{
    layer_end_heap(heap);
    heap = layer_heap(&config);
}

static inline int end(void **state)
{
    (void)state;
    layer_end_heap(heap);
    return 0;
}

#endif
