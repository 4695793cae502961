/* SPDX-License-Identifier: ISC */
/* A heap of the test's own in real children: the fork handlers are called by hand. */
#ifndef SECURE_MALLOC_TESTS_UNIT_HEAP_CHILD_H
#define SECURE_MALLOC_TESTS_UNIT_HEAP_CHILD_H

#include <string.h>

#include "unit/expect.h"
#include "unit/heap_model.h"
#include "unit/os_view.h"

enum { COUNT = 300, SIZE = 40, LARGE_SIZE = 100000 };

static struct heap *heap;
static char *buffers[COUNT];
static char *large;
static char *guarded;

static inline void expect_same(uint64_t a, uint64_t b, int line)
{
    if (a != b) {
        fprintf(stderr, "line %d: %lu is not %lu\n", line, (unsigned long)a, (unsigned long)b);
        child_exit(1);
    }
}

#define EXPECT_SAME(a, b) expect_same((uint64_t)(a), (uint64_t)(b), __LINE__)

static inline void fill(void)
{
    for (size_t i = 0; i < COUNT; i++) {
        buffers[i] = keeper_get(heap, SIZE);
        memset(buffers[i], 'a' + (int)(i % 26), SIZE);
    }
    large = keeper_get(heap, LARGE_SIZE);
    memset(large, 'l', LARGE_SIZE);
    int error = 0;
    guarded = heap_allocate_guarded(heap, SIZE, &error);
    assert_non_null(guarded);
    memset(guarded, 'g', SIZE);
}

static inline void make(enum os_fork fork, bool best_effort)
{
    struct heap_config config = layer_heap_config();
    config.pages.fork = fork;
    config.pages.best_effort = best_effort;
    heap = layer_heap(&config);
}

static inline void in_child(child_body *body, void *context)
{
    heap_fork_prepare(heap);
    expect_child(body, context);
    heap_fork_done(heap);
}

#endif
