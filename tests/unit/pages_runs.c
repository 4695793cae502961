/* SPDX-License-Identifier: ISC */
#include "pages/runs.h"

#include <errno.h>
#include <signal.h>

#include "unit/expect.h"
#include "unit/fresh_pages.h"
#include "unit/layer.h"
#include "unit/os_view.h"

/* One chunk, all of it open. */
static void use_one_chunk(void)
{
    layer_end_pages(pages);
    config.lock_limit = CHUNK_PAGES * config.page_size;
    pages = layer_pages(&config);
    assert_int_equal(pages_reserve(pages, (CHUNK_PAGES - 1) * config.page_size), 0);
}

static struct run take(size_t count)
{
    struct run run = {0};
    assert_int_equal(layer_take(pages, count, &run), 0);
    return run;
}

static void touch(void *context)
{
    *(volatile char *)context = 1;
}

/* ---- the grid ---- */

static void the_last_page_of_every_32_is_a_guard(void **state)
{
    (void)state;
    assert_int_equal(pages_reserve(pages, 100 * config.page_size), 0);
    if (!pages->guards) {
        skip_test("needs MADV_GUARD_INSTALL (Linux 6.13)");
    }
    struct region *region = layer_region(pages, REGION_SLABS);
    assert_int_equal(os_faults.count[CALL_GUARD], region->count / CHUNK_PAGES);
    for (size_t page = 0; page < region->count; page++) {
        assert_int_equal(pages_is_guard(region, page), page % CHUNK_PAGES == CHUNK_PAGES - 1);
    }
    for (size_t i = 1; i <= 3; i++) {
        char *guard = region_page(region, i * CHUNK_PAGES - 1, pages->page_shift);
        assert_memory_equal(view_of(guard).access, "rw-p", 4); /* no mapping of its own */
        assert_death_with(touch, guard, SIGSEGV, NULL);
        assert_survives_with(touch, guard - 1);
        assert_survives_with(touch, guard + config.page_size);
    }
}

static void without_guards_every_page_is_used(void **state)
{
    (void)state;
    config.lock_limit = 256 * config.page_size;
    layer_end_pages(pages);
    pages = layer_pages(&config);
    os_faults.no_guards = true;
    for (size_t i = 0; i < 256; i++) {
        take(1);
    }
    assert_int_equal(os_faults.count[CALL_GUARD], 1); /* once asked, and no more */
    assert_false(pages->guards);
    assert_int_equal(counter_read(&pages->counters.live), config.lock_limit);
    layer_check_pages(pages);
}

static void no_run_crosses_a_guard_or_a_chunk(void **state)
{
    (void)state;
    for (int no_guards = 0; no_guards < 2; no_guards++) {
        layer_end_pages(pages);
        pages = layer_pages(&config);
        os_faults.no_guards = no_guards != 0;
        for (size_t i = 0; i < 300; i++) {
            struct run run = take(1 + i % RUN_PAGES_MAX);
            assert_int_equal(run.page / CHUNK_PAGES, (run.page + run.count - 1) / CHUNK_PAGES);
            for (size_t page = run.page; page < run.page + run.count; page++) {
                assert_false(pages_is_guard(run.region, page));
            }
        }
        layer_check_pages(pages);
    }
}

/* The pages behind a region that is no multiple of 32 pages. */
static void a_regions_end_is_never_part_of_a_run(void **state)
{
    (void)state;
    const size_t counts[] = {1, 5, 31, 32, 33, 63, 64, 70};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        layer_end_pages(pages);
        config.lock_limit = counts[i] * config.page_size;
        pages = layer_pages(&config);
        struct run run;
        size_t taken = 0;
        while (layer_take(pages, 1, &run) == 0) {
            assert_true(run.page < run.region->count);
            memset(run_start(pages, run), 1, config.page_size);
            taken++;
        }
        size_t guards = pages->guards ? counts[i] / CHUNK_PAGES : 0;
        assert_true(taken + guards >= counts[i] && taken <= counts[i]);
        layer_check_pages(pages);
    }
}

/* ---- taking and giving ---- */

static void neighbours_join_by_themselves(void **state)
{
    (void)state;
    struct run runs[RUN_PAGES_MAX];
    use_one_chunk();
    for (size_t i = 0; i < RUN_PAGES_MAX; i++) {
        runs[i] = take(1);
        assert_int_equal(runs[i].page, runs[0].page + i);
    }
    for (size_t i = 0; i < RUN_PAGES_MAX; i += 2) {
        pages_give(pages, runs[i]);
    }
    for (size_t i = 1; i < RUN_PAGES_MAX; i += 2) {
        pages_give(pages, runs[i]);
    }
    layer_check_books(pages);
    assert_int_equal(take(RUN_PAGES_MAX).page, runs[0].page);
}

static void dirty_pages_are_not_counted_as_faulted_in_again(void **state)
{
    (void)state;
    struct run run = take(4);
    size_t refaulted = 0;
    uint64_t before = pages->policy.retaken;
    pages_give(pages, run);
    assert_true(runs_take(pages, 4, &run, &refaulted));
    assert_int_equal(refaulted, 0);
    runs_give(pages, run);
    (void)pages_purge(pages);
    assert_true(runs_take(pages, 4, &run, &refaulted));
    assert_int_equal(refaulted, 4);
    assert_int_equal(pages->policy.retaken, before);
}

/* ---- populating ---- */

static void pages_that_are_being_populated_are_nobodys(void **state)
{
    (void)state;
    use_one_chunk();
    size_t cold = 0;
    struct run run;
    assert_true(runs_take(pages, 2, &run, &cold));
    assert_int_equal(cold, 2);
    struct chunk *chunk = chunk_of(run.region, run.page);
    uint32_t mask = run_mask(run.page % CHUNK_PAGES + 2, 5);
    assert_int_equal(runs_warm_begin(pages, run, 5), 5);
    assert_int_equal(chunk->purging, mask);
    layer_check_books(pages);
    struct run others[CHUNK_PAGES];
    size_t count = 0;
    while (runs_take(pages, 1, &others[count], &cold)) {
        assert_int_equal(page_bit(others[count].page) & mask, 0);
        count++;
    }
    assert_true(count >= CHUNK_PAGES - 1 - 7);
    runs_warm_end(pages, run, 5, true);
    assert_int_equal(chunk->dirty, mask);
    assert_int_equal(counter_read(&pages->counters.dirty), 5 * config.page_size);
    layer_check_pages(pages);
    assert_true(runs_take(pages, 5, &run, &cold));
    assert_int_equal(cold, 0);
}

static void only_clean_pages_right_behind_are_populated(void **state)
{
    (void)state;
    use_one_chunk();
    size_t cold = 0;
    struct run first;
    struct run second;
    assert_true(runs_take(pages, 2, &first, &cold));
    assert_true(runs_take(pages, 2, &second, &cold));
    assert_int_equal(runs_warm_begin(pages, first, 8), 0); /* the second is live */
    runs_warm_end(pages, first, 0, true);
    assert_int_equal(counter_read(&pages->counters.dirty), 0);
    runs_give(pages, second);
    assert_int_equal(runs_warm_begin(pages, first, 8), 0); /* and dirty */
    runs_warm_end(pages, first, 0, true);
    /* Up to the chunk's end, or to the guard there. */
    (void)pages_purge(pages);
    size_t usable = CHUNK_PAGES - (pages->guards ? 1 : 0);
    size_t more = runs_warm_begin(pages, first, 1000);
    assert_true(more == usable - 2 || more == CHUNK_PAGES - 1 - 2);
    runs_warm_end(pages, first, more, true);
    layer_check_pages(pages);
}

static void behind_a_chunks_last_page_nothing_is_populated(void **state)
{
    (void)state;
    layer_end_pages(pages);
    pages = layer_pages(&config);
    os_faults.no_guards = true;
    assert_int_equal(pages_reserve(pages, 2 * CHUNK_PAGES * config.page_size), 0);
    struct run run;
    size_t cold = 0;
    do {
        assert_true(runs_take(pages, RUN_PAGES_MAX, &run, &cold));
    } while ((run.page + run.count) % CHUNK_PAGES != 0);
    assert_int_equal(runs_warm_begin(pages, run, 8), 0);
    runs_warm_end(pages, run, 0, true);
    assert_int_equal(counter_read(&pages->counters.dirty), 0);
    layer_check_pages(pages);
}

/* ---- unlocked ---- */

static void a_run_that_was_never_locked_leaves_an_idle_chunk(void **state)
{
    (void)state;
    layer_end_pages(pages);
    config.best_effort = true;
    pages = layer_pages(&config);
    os_faults.only = 1u << CALL_LOCK;
    os_faults_fail(1, true);
    struct run run = take(3);
    struct chunk *chunk = chunk_of(run.region, run.page);
    assert_int_equal(chunk->bare, run_mask(run.page % CHUNK_PAGES, 3));
    assert_int_equal(chunk->kind, CHUNK_LONGER);
    pages_give(pages, run);
    assert_int_equal(chunk->kind, CHUNK_IDLE);
    layer_check_pages(pages);
}

static void a_run_that_is_set_unlocked_is_closed(void **state)
{
    (void)state;
    struct run run = take(3);
    struct run rest = take(1);
    struct chunk *chunk = chunk_of(run.region, run.page);
    uint32_t mask = run_mask(run.page % CHUNK_PAGES, run.count);
    for (int closable = 0; closable < 2; closable++) {
        /* As after a purge whose lock did not come back. */
        chunk->live &= ~mask;
        runs_rebin(&pages->runs, chunk);
        counter_sub(&pages->counters.live, pages_bytes(pages, run.count));
        counter_sub(&pages->counters.locked, pages_bytes(pages, run.count));
        (void)os_pages_unlock(run_start(pages, run), pages_bytes(pages, run.count));
        os_faults.only = 1u << CALL_CLOSE;
        os_faults_fail(closable != 0 ? 0 : 1, true);
        runs_set_unlocked(pages, run);
        os_faults_fail(0, false);
        layer_check_pages(pages);
        assert_int_equal(pages->unlocked_free, closable != 0 ? 0 : run.count);
        assert_int_equal((closable != 0 ? chunk->closed : chunk->unlocked) & mask, mask);
        /* Pages that are not locked are given to nobody. */
        for (size_t i = 0; closable == 0 && i < 60; i++) {
            struct run other = take(1);
            assert_true(other.region != run.region || other.page < run.page ||
                        other.page >= run.page + run.count);
        }
        if (closable == 0) {
            (void)pages_release(pages, UINT64_MAX);
            assert_int_equal(pages->unlocked_free, 0);
            run = take(3);
            chunk = chunk_of(run.region, run.page);
            mask = run_mask(run.page % CHUNK_PAGES, run.count);
        }
    }
    pages_give(pages, rest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_last_page_of_every_32_is_a_guard, fresh, end),
        cmocka_unit_test_setup_teardown(without_guards_every_page_is_used, fresh, end),
        cmocka_unit_test_setup_teardown(no_run_crosses_a_guard_or_a_chunk, fresh, end),
        cmocka_unit_test_setup_teardown(a_regions_end_is_never_part_of_a_run, fresh, end),
        cmocka_unit_test_setup_teardown(neighbours_join_by_themselves, fresh, end),
        cmocka_unit_test_setup_teardown(dirty_pages_are_not_counted_as_faulted_in_again, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(pages_that_are_being_populated_are_nobodys, fresh, end),
        cmocka_unit_test_setup_teardown(only_clean_pages_right_behind_are_populated, fresh, end),
        cmocka_unit_test_setup_teardown(behind_a_chunks_last_page_nothing_is_populated, fresh, end),
        cmocka_unit_test_setup_teardown(a_run_that_was_never_locked_leaves_an_idle_chunk, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(a_run_that_is_set_unlocked_is_closed, fresh, end),
    };
    return layer_run(tests);
}
