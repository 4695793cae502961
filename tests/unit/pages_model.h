/* SPDX-License-Identifier: ISC */
/* Runs that a test holds, each filled with its own number, so that no two can overlap unseen. */
#ifndef SECURE_MALLOC_TESTS_UNIT_PAGES_MODEL_H
#define SECURE_MALLOC_TESTS_UNIT_PAGES_MODEL_H

#include <string.h>

#include "unit/layer.h"
#include "unit/model.h"

enum { HELD_MAX = 400 };

struct held {
    struct run run;
    uint32_t mark;
    bool large;
};

struct holder {
    struct pages *pages;
    struct held runs[HELD_MAX];
    size_t count;
    uint32_t marks;
};

static inline uint32_t *holder_words(const struct holder *holder, struct run run, size_t *count)
{
    *count = pages_bytes(holder->pages, run.count) / sizeof(uint32_t);
    return run_start(holder->pages, run);
}

static inline char *holder_records(const struct holder *holder, const struct held *held)
{
    return held->run.region->records + held->run.page * holder->pages->config.records_stride;
}

/* The pages read zero, and so does what the owner may remember of them. */
static inline void holder_check_new(struct holder *holder, const struct held *held)
{
    const struct pages_config *config = &holder->pages->config;
    size_t count = 0;
    const uint32_t *words = holder_words(holder, held->run, &count);
    const char *owner = held->run.region->owners + held->run.page * config->owner_stride;
    uint32_t seen = 0;
    for (size_t i = 0; i < count; i++) {
        seen |= words[i];
    }
    assert_int_equal(seen, 0);
    for (size_t i = 0; i < held->run.count * config->owner_stride; i++) {
        assert_int_equal(owner[i], 0);
    }
    for (size_t i = 0; !held->large && i < held->run.count * config->records_stride; i++) {
        assert_int_equal(holder_records(holder, held)[i], 0);
    }
}

static inline void holder_mark(struct holder *holder, struct held *held)
{
    size_t count = 0;
    uint32_t *words = holder_words(holder, held->run, &count);
    held->mark = ++holder->marks;
    for (size_t i = 0; i < count; i++) {
        words[i] = held->mark;
    }
    if (!held->large) {
        memset(holder_records(holder, held), (int)(held->mark | 1) & 0xff,
               held->run.count * holder->pages->config.records_stride);
    }
}

static inline void holder_check_mark(struct holder *holder, const struct held *held, size_t pages)
{
    size_t count = 0;
    const uint32_t *words = holder_words(holder, held->run, &count);
    uint32_t wrong = 0;
    for (size_t i = 0; i < pages_bytes(holder->pages, pages) / sizeof(*words); i++) {
        wrong |= words[i] ^ held->mark;
    }
    assert_int_equal(wrong, 0);
    for (size_t i = 0; !held->large && i < pages * holder->pages->config.records_stride; i++) {
        assert_int_equal((unsigned char)holder_records(holder, held)[i], (held->mark | 1) & 0xff);
    }
}

static inline int holder_keep(struct holder *holder, struct run run, bool large)
{
    struct held *held = &holder->runs[holder->count++];
    *held = (struct held){.run = run, .large = large};
    holder_check_new(holder, held);
    holder_mark(holder, held);
    return 0;
}

static inline int holder_take(struct holder *holder, size_t count)
{
    struct run run = {0};
    int error = layer_take(holder->pages, count, &run);
    if (error != 0) {
        return error;
    }
    assert_int_equal(run.count, count);
    assert_int_equal(run.page / CHUNK_PAGES, (run.page + count - 1) / CHUNK_PAGES);
    for (size_t i = 0; i < count; i++) {
        assert_false(pages_is_guard(run.region, run.page + i));
    }
    return holder_keep(holder, run, false);
}

static inline int holder_take_large(struct holder *holder, size_t count, size_t alignment)
{
    struct run run = {0};
    int error = layer_take_large(holder->pages, count, alignment, &run);
    if (error != 0) {
        return error;
    }
    assert_int_equal(run.count, count);
    assert_int_equal((uintptr_t)run_start(holder->pages, run) % alignment, 0);
    return holder_keep(holder, run, true);
}

static inline void holder_give(struct holder *holder, size_t index)
{
    struct held held = holder->runs[index];
    struct pages *pages = holder->pages;
    holder_check_mark(holder, &held, held.run.count);
    memset(run_start(pages, held.run), 0, pages_bytes(pages, held.run.count));
    if (held.large) {
        pages_give_large(pages, held.run);
    } else {
        memset(holder_records(holder, &held), 0, held.run.count * pages->config.records_stride);
        pages_give(pages, held.run);
    }
    holder->runs[index] = holder->runs[--holder->count];
}

static inline void holder_give_all(struct holder *holder)
{
    while (holder->count > 0) {
        holder_give(holder, holder->count - 1);
    }
}

/* Grown or shrunk in place. What was there stays, what is new is zero. */
static inline int holder_resize(struct holder *holder, size_t index, size_t count)
{
    struct held *held = &holder->runs[index];
    struct pages *pages = holder->pages;
    size_t old = held->run.count;
    size_t first = held->run.page;
    int error = 0;
    if (count < old) {
        memset((char *)run_start(pages, held->run) + pages_bytes(pages, count), 0,
               pages_bytes(pages, old - count));
        error = pages_shrink_large(pages, &held->run, count);
    } else if (count > old) {
        error = pages_grow_large(pages, &held->run, count);
    }
    assert_int_equal(held->run.page, first);
    assert_int_equal(held->run.count, error == 0 ? count : old);
    size_t kept = old < count ? old : count;
    holder_check_mark(holder, held, kept);
    for (size_t i = kept; i < held->run.count; i++) {
        const char *page = region_page(held->run.region, first + i, pages->page_shift);
        assert_true(page[0] == 0 && memcmp(page, page + 1, pages->config.page_size - 1) == 0);
    }
    holder_mark(holder, held);
    return error;
}

#endif
