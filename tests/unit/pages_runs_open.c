/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <string.h>

#include "pages/pages.h"
#include "support/skip.h"
#include "unit/fresh_pages.h"
#include "unit/layer.h"

/* A region of so many pages, nothing of it open. */
static struct region *reserve(size_t count)
{
    struct region *region = NULL;
    size_t size = count * config.page_size;
    assert_int_equal(region_reserve(pages, REGION_SLABS, size, size, &region), 0);
    return region;
}

static uint64_t locked_pages(void)
{
    return counter_read(&pages->counters.locked) / config.page_size;
}

static int open_pages(size_t count)
{
    return runs_open(pages, count * config.page_size, 1);
}

static void without_closed_pages_it_says_so(void **state)
{
    (void)state;
    assert_int_equal(open_pages(1), -ENOENT);
    reserve(10);
    assert_int_equal(open_pages(4), 0);
    assert_int_equal(open_pages(10), 0); /* what is left */
    assert_int_equal(locked_pages(), 10);
    assert_int_equal(open_pages(1), -ENOENT);
    layer_check_pages(pages);
}

static void pages_open_from_the_start_as_one_mapping(void **state)
{
    (void)state;
    struct region *region = reserve(256);
    for (size_t opened = 0; opened < 200; opened += 8) {
        assert_int_equal(open_pages(8), 0);
        assert_int_equal(chunk_of(region, 0)->clean != 0, 1);
        /* What is open, and what is not. */
        assert_int_equal(layer_mappings(pages), 2);
    }
    layer_check_pages(pages);
}

static void a_step_ends_before_a_guard_and_the_next_begins_with_it(void **state)
{
    (void)state;
    struct region *region = reserve(64);
    struct chunk *chunk = chunk_of(region, 0);
    if (!pages->guards) {
        skip_test("needs MADV_GUARD_INSTALL (Linux 6.13)");
    }
    assert_int_equal(open_pages(31), 0);
    assert_int_equal(locked_pages(), 31); /* the guard is not charged for nothing */
    assert_int_equal(chunk->fixed_open, 0);
    assert_int_equal(open_pages(1), 0);
    assert_int_equal(locked_pages(), 33);
    assert_int_equal(chunk->fixed_open, chunk->fixed);
    layer_check_pages(pages);
}

static void one_byte_asks_for_one_page(void **state)
{
    (void)state;
    reserve(8);
    assert_int_equal(runs_open(pages, 1, 1), 0);
    assert_int_equal(locked_pages(), 1);
}

static void a_refusal_is_halved_and_the_rest_stays_closed(void **state)
{
    (void)state;
    struct region *region = reserve(256);
    config.lock_limit = 10 * config.page_size;
    pages->config.lock_limit = config.lock_limit;
    assert_int_equal(open_pages(64), 0); /* 64, 32, 16 are too much */
    assert_int_equal(locked_pages(), 8);
    assert_int_equal(open_pages(64), 0);
    assert_int_equal(locked_pages(), 10);
    assert_int_equal(open_pages(64), -ENOMEM);
    assert_int_equal(region->closed, 256 - 10 - pages->guards * 8);
    layer_check_pages(pages);
}

static void a_forbidden_lock_is_not_tried_in_halves(void **state)
{
    (void)state;
    reserve(256);
    os_faults.only = 1u << CALL_LOCK;
    os_faults.error = -EPERM;
    os_faults_fail(1, true);
    assert_int_equal(open_pages(64), -EPERM);
    assert_int_equal(os_faults.failed, 1);
    layer_check_pages(pages);
}

static void the_oldest_region_is_filled_first(void **state)
{
    (void)state;
    struct region *oldest = reserve(10);
    reserve(10);
    assert_int_equal(open_pages(6), 0);
    assert_int_equal(oldest->closed, 4);
    assert_int_equal(open_pages(6), 0);
    assert_int_equal(oldest->closed, 0);
    assert_int_equal(open_pages(6), 0);
    assert_int_equal(locked_pages(), 16);
    layer_check_pages(pages);
}

/* The end of each chunk, up to its guard, while the next chunk is in use. */
static bool is_at_an_end(struct run run)
{
    size_t page = run.page % CHUNK_PAGES;
    return page > 20 && page < CHUNK_PAGES - 1;
}

static void what_is_released_and_opened_again_leaves_no_hole(void **state)
{
    (void)state;
    struct run runs[120];
    assert_int_equal(pages_reserve(pages, 128 * config.page_size), 0);
    for (size_t i = 0; i < 120; i++) {
        assert_int_equal(layer_take(pages, 1, &runs[i]), 0);
    }
    unsigned long mappings = layer_mappings(pages);
    for (size_t turn = 0; turn < 3; turn++) {
        for (size_t i = 0; i < 120; i++) {
            if (is_at_an_end(runs[i])) {
                pages_give(pages, runs[i]);
            }
        }
        (void)pages_release(pages, UINT64_MAX);
        layer_check_pages(pages);
        for (size_t i = 0; i < 120; i++) {
            if (is_at_an_end(runs[i])) {
                assert_int_equal(layer_take(pages, 1, &runs[i]), 0);
            }
        }
        layer_check_pages(pages);
        assert_int_equal(layer_mappings(pages), mappings);
    }
}

/* ---- best effort ---- */

static void take_unlocked_opens_a_run_all_the_same(void **state)
{
    (void)state;
    struct region *region = reserve(64);
    struct run run;
    pages->config.best_effort = true;
    os_faults.only = 1u << CALL_LOCK;
    os_faults_fail(1, true);
    for (size_t i = 0; i < 7; i++) {
        assert_true(runs_take_unlocked(pages, 4, &run));
        assert_int_equal(chunk_of(region, run.page)->bare & run_mask(run.page % 32, 4),
                         run_mask(run.page % 32, 4));
        memset(run_start(pages, run), 1, pages_bytes(pages, 4));
        layer_check_books(pages);
    }
    os_faults_fail(0, false);
    assert_true(runs_take_unlocked(pages, 4, &run)); /* and locks it if it can */
    assert_int_equal(chunk_of(region, run.page)->bare & run_mask(run.page % 32, 4), 0);
    assert_int_equal(counter_read(&pages->counters.unlocked), 28 * config.page_size);
    layer_check_books(pages);
}

static void take_unlocked_says_if_it_cannot_even_open(void **state)
{
    (void)state;
    struct run run;
    assert_false(runs_take_unlocked(pages, 1, &run));
    reserve(64);
    os_faults.only = 1u << CALL_OPEN;
    os_faults_fail(1, true);
    assert_false(runs_take_unlocked(pages, 4, &run));
    layer_check_pages(pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_closed_pages_it_says_so, fresh, end),
        cmocka_unit_test_setup_teardown(pages_open_from_the_start_as_one_mapping, fresh, end),
        cmocka_unit_test_setup_teardown(a_step_ends_before_a_guard_and_the_next_begins_with_it,
                                        fresh, end),
        cmocka_unit_test_setup_teardown(one_byte_asks_for_one_page, fresh, end),
        cmocka_unit_test_setup_teardown(a_refusal_is_halved_and_the_rest_stays_closed, fresh, end),
        cmocka_unit_test_setup_teardown(a_forbidden_lock_is_not_tried_in_halves, fresh, end),
        cmocka_unit_test_setup_teardown(the_oldest_region_is_filled_first, fresh, end),
        cmocka_unit_test_setup_teardown(what_is_released_and_opened_again_leaves_no_hole, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(take_unlocked_opens_a_run_all_the_same, fresh, end),
        cmocka_unit_test_setup_teardown(take_unlocked_says_if_it_cannot_even_open, fresh, end),
    };
    return layer_run(tests);
}
