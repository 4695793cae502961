/* SPDX-License-Identifier: ISC */
/* Buffers that a test holds, filled so that no two can overlap and nothing can be lost unseen. */
#ifndef SECURE_MALLOC_TESTS_UNIT_HEAP_MODEL_H
#define SECURE_MALLOC_TESTS_UNIT_HEAP_MODEL_H

#include <string.h>

#include "heap/large.h"
#include "heap/magazine.h"
#include "heap/slot.h"
#include "unit/layer.h"
#include "unit/model.h"

enum { BUFFERS_MAX = 600 };

struct buffer {
    unsigned char *start;
    size_t size;
    uint32_t mark;
    bool guarded;
};

struct keeper {
    struct heap *heap;
    struct buffer at[BUFFERS_MAX];
    size_t count;
    uint32_t marks;
};

static inline unsigned char keeper_byte(const struct buffer *buffer, size_t i)
{
    return (unsigned char)(buffer->mark * 131 + i * 7 + (i >> 8)) | 1;
}

static inline void keeper_fill(struct keeper *keeper, struct buffer *buffer)
{
    buffer->mark = ++keeper->marks;
    for (size_t i = 0; i < buffer->size; i++) {
        buffer->start[i] = keeper_byte(buffer, i);
    }
}

static inline void keeper_check(const struct buffer *buffer, size_t size)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < size; i++) {
        wrong |= buffer->start[i] ^ keeper_byte(buffer, i);
    }
    assert_int_equal(wrong, 0);
}

static inline void keeper_check_zero(const unsigned char *start, size_t size)
{
    unsigned seen = 0;
    for (size_t i = 0; i < size; i++) {
        seen |= start[i];
    }
    assert_int_equal(seen, 0);
}

static inline int keeper_keep(struct keeper *keeper, void *start, size_t size, bool guarded)
{
    struct buffer *buffer = &keeper->at[keeper->count++];
    *buffer = (struct buffer){.start = start, .size = size, .guarded = guarded};
    assert_int_equal((uintptr_t)start % SLOT_ALIGNMENT, 0);
    assert_true(heap_owns(keeper->heap, start));
    assert_int_equal(heap_size_of(keeper->heap, start), size);
    keeper_check_zero(start, size);
    keeper_fill(keeper, buffer);
    return 0;
}

/* For slot_allocate: the magazine alone. */
static inline void *keeper_no_more(size_t size)
{
    (void)size;
    return NULL;
}

static inline int keeper_allocate(struct keeper *keeper, size_t size)
{
    int error = 0;
    /* As secure_malloc does: the fast way first. */
    void *start = slot_allocate(keeper->heap, size, keeper_no_more);
    start = start != NULL ? start : heap_allocate(keeper->heap, size, &error);
    return start != NULL ? keeper_keep(keeper, start, size, false) : error;
}

static inline int keeper_allocate_guarded(struct keeper *keeper, size_t size)
{
    int error = 0;
    void *start = heap_allocate_guarded(keeper->heap, size, &error);
    return start != NULL ? keeper_keep(keeper, start, size, true) : error;
}

static inline int keeper_allocate_aligned(struct keeper *keeper, size_t alignment, size_t size)
{
    int error = 0;
    void *start = heap_allocate_aligned(keeper->heap, alignment, size, &error);
    if (start == NULL) {
        return error;
    }
    assert_int_equal((uintptr_t)start % alignment, 0);
    return keeper_keep(keeper, start, size, false);
}

static inline int keeper_resize(struct keeper *keeper, size_t index, size_t size)
{
    struct buffer *buffer = &keeper->at[index];
    int error = 0;
    size_t kept = buffer->size < size ? buffer->size : size;
    void *moved = heap_reallocate(keeper->heap, buffer->start, size, &error);
    if (moved == NULL) {
        keeper_check(buffer, buffer->size);
        return error;
    }
    buffer->start = moved;
    keeper_check(buffer, kept);
    keeper_check_zero(buffer->start + kept, size - kept);
    buffer->size = size;
    assert_int_equal(heap_size_of(keeper->heap, moved), size);
    keeper_fill(keeper, buffer);
    return 0;
}

static inline void keeper_free(struct keeper *keeper, size_t index)
{
    struct buffer buffer = keeper->at[index];
    keeper->at[index] = keeper->at[--keeper->count];
    keeper_check(&buffer, buffer.size);
    heap_free(keeper->heap, buffer.start, model_below(2) == 0 ? buffer.size : HEAP_ANY_SIZE);
}

static inline void keeper_free_all(struct keeper *keeper)
{
    while (keeper->count > 0) {
        keeper_free(keeper, keeper->count - 1);
    }
}

/* What the heap counts is what the keeper holds. */
static inline void keeper_check_numbers(const struct keeper *keeper)
{
    struct heap_numbers numbers = layer_numbers(keeper->heap);
    uint64_t bytes = 0;
    for (size_t i = 0; i < keeper->count; i++) {
        bytes += keeper->at[i].size;
    }
    assert_int_equal(numbers.live_count, keeper->count);
    assert_int_equal(numbers.live_bytes, bytes);
    layer_check_heap(keeper->heap);
}

/* A plain allocation that must not fail. */
static inline void *keeper_get(struct heap *heap, size_t size)
{
    int error = 0;
    void *start = slot_allocate(heap, size, keeper_no_more);
    start = start != NULL ? start : heap_allocate(heap, size, &error);
    assert_non_null(start);
    return start;
}

#endif
