/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include <string.h>

#include "pages/pages.h"
#include "unit/expect.h"
#include "unit/layer.h"
#include "unit/os_view.h"

enum { RUNS_MAX = 2048 };

static struct pages *pages;
static struct pages_config config;
static struct run runs[RUNS_MAX];
static size_t taken;

static int fresh(void **state)
{
    (void)state;
    config = layer_pages_config();
    pages = layer_pages(&config);
    taken = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    layer_end_pages(pages);
    return 0;
}

static int by_address(const void *a, const void *b)
{
    uintptr_t left = (uintptr_t)run_start(pages, *(const struct run *)a);
    uintptr_t right = (uintptr_t)run_start(pages, *(const struct run *)b);
    return (left > right) - (left < right);
}

/* Runs of a page, in the order of their addresses. */
static void take_all(size_t count)
{
    for (taken = 0; taken < count; taken++) {
        assert_int_equal(layer_take(pages, 1, &runs[taken]), 0);
        *(char *)run_start(pages, runs[taken]) = 1;
    }
    qsort(runs, count, sizeof(runs[0]), by_address);
}

static void give(size_t index)
{
    memset(run_start(pages, runs[index]), 0, config.page_size);
    pages_give(pages, runs[index]);
}

static void released_pages_are_closed_unlocked_and_not_resident(void **state)
{
    (void)state;
    take_all(40);
    for (size_t i = 4; i < 20; i++) {
        give(i);
    }
    uint64_t locked = counter_read(&pages->counters.locked);
    size_t released = pages_release(pages, UINT64_MAX);
    assert_true(released >= 16 * config.page_size);
    assert_int_equal(counter_read(&pages->counters.locked), locked - released);
    assert_int_equal(counter_read(&pages->counters.dirty), 0);
    for (size_t i = 0; i < 40; i++) {
        char *page = run_start(pages, runs[i]);
        assert_memory_equal(view_of(page).access, i >= 4 && i < 20 ? "---p" : "rw-p", 4);
    }
    assert_int_equal(view_of(run_start(pages, runs[5])).resident, 0);
    layer_check_pages(pages);
}

static void the_longest_stretch_goes_first(void **state)
{
    (void)state;
    struct run run;
    layer_end_pages(pages);
    config.lock_limit = 4 * CHUNK_PAGES * config.page_size;
    pages = layer_pages(&config);
    while (layer_take(pages, 1, &run) == 0) { /* how many there are, guards or not */
        taken++;
    }
    layer_end_pages(pages);
    pages = layer_pages(&config);
    take_all(taken);
    for (size_t i = 0; i < 12; i++) {
        give(40 + i);
    }
    give(3);
    give(4);
    give(70);
    assert_int_equal(pages_release(pages, config.page_size), 12 * config.page_size);
    for (size_t i = 0; i < taken; i++) {
        assert_int_equal(page_is_closed(runs[i].region, runs[i].page), i >= 40 && i < 52);
    }
    assert_int_equal(pages_release(pages, 3 * config.page_size), 3 * config.page_size);
    layer_check_pages(pages);
}

/* Each closed page between open ones costs two mappings. */
static void holes_are_bounded(void **state)
{
    (void)state;
    take_all(RUNS_MAX);
    for (size_t i = 0; i < RUNS_MAX; i += 2) {
        give(i);
    }
    (void)pages_release(pages, UINT64_MAX);
    assert_true(runs_holes(pages) <= 256 + 8);
    assert_true(layer_mappings(pages) <= 2 * 256 + 40);
    (void)pages_release(pages, UINT64_MAX);
    assert_true(runs_holes(pages) <= 256 + 8);
    layer_check_pages(pages);
    /* A hole that grows costs nothing more. */
    for (size_t i = 1; i < RUNS_MAX; i += 2) {
        give(i);
    }
    (void)pages_release(pages, UINT64_MAX);
    layer_check_pages(pages);
    assert_int_equal(counter_read(&pages->counters.locked), 0);
}

static void what_cannot_be_closed_stays_as_it_is(void **state)
{
    (void)state;
    take_all(100);
    for (size_t i = 10; i < 90; i++) {
        give(i);
    }
    uint64_t locked = counter_read(&pages->counters.locked);
    uint64_t dirty = counter_read(&pages->counters.dirty);
    os_faults.only = 1u << CALL_CLOSE;
    os_faults_fail(1, true);
    assert_int_equal(pages_release(pages, UINT64_MAX), 0);
    assert_int_equal(counter_read(&pages->counters.locked), locked);
    assert_int_equal(counter_read(&pages->counters.dirty), dirty);
    layer_check_pages(pages);
    os_faults_fail(0, false);
    assert_true(pages_release(pages, UINT64_MAX) > 0);
    layer_check_pages(pages);
}

static void pages_that_a_purge_has_out_are_left_alone(void **state)
{
    (void)state;
    take_all(64);
    for (size_t i = 0; i < 31; i++) {
        give(i);
    }
    struct chunk *chunk = chunk_of(runs[0].region, runs[0].page);
    uint32_t out = chunk->dirty;
    assert_true(pages_in(out) > 8);
    /* As between gather and settle. */
    runs_dirty_leave(&pages->runs, chunk);
    chunk->dirty = 0;
    chunk->purging = out & 0x5555;
    chunk->held = out & ~(uint32_t)0x5555;
    runs_rebin(&pages->runs, chunk);
    counter_sub(&pages->counters.dirty, pages_in(out) * config.page_size);
    (void)pages_release(pages, UINT64_MAX);
    assert_int_equal(chunk->purging | chunk->held, out);
    layer_check_pages(pages);
    chunk->clean |= chunk->held | chunk->purging;
    chunk->held = 0;
    chunk->purging = 0;
    runs_rebin(&pages->runs, chunk);
    layer_check_pages(pages);
}

static void released_pages_are_taken_again_from_the_lowest(void **state)
{
    (void)state;
    take_all(200);
    size_t first = runs[17].page;
    for (size_t i = 17; i < 60; i++) {
        give(i);
    }
    (void)pages_release(pages, UINT64_MAX);
    struct run run;
    assert_true(page_is_closed(runs[17].region, first));
    assert_int_equal(layer_take(pages, 1, &run), 0);
    assert_false(page_is_closed(runs[17].region, first));
    layer_check_pages(pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(released_pages_are_closed_unlocked_and_not_resident, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(the_longest_stretch_goes_first, fresh, end),
        cmocka_unit_test_setup_teardown(holes_are_bounded, fresh, end),
        cmocka_unit_test_setup_teardown(what_cannot_be_closed_stays_as_it_is, fresh, end),
        cmocka_unit_test_setup_teardown(pages_that_a_purge_has_out_are_left_alone, fresh, end),
        cmocka_unit_test_setup_teardown(released_pages_are_taken_again_from_the_lowest, fresh, end),
    };
    return layer_run(tests);
}
