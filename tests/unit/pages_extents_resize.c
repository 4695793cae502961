/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <string.h>

#include "pages/extents_list.h"
#include "pages/pages.h"
#include "unit/fresh_pages.h"
#include "unit/layer.h"
#include "unit/os_view.h"

static struct run take(size_t count)
{
    struct run run = {0};
    assert_int_equal(layer_take_large(pages, count, 1, &run), 0);
    memset(run_start(pages, run), 1, pages_bytes(pages, count));
    return run;
}

static char *page_of(struct run run, size_t page)
{
    return region_page(run.region, run.page + page, pages->page_shift);
}

static void a_run_grows_into_closed_space(void **state)
{
    (void)state;
    struct run run = take(4);
    uint64_t locked = counter_read(&pages->counters.locked);
    assert_int_equal(pages_grow_large(pages, &run, 9), 0);
    assert_int_equal(run.count, 9);
    assert_int_equal(counter_read(&pages->counters.locked), locked + 5 * config.page_size);
    assert_true(view_is_all(page_of(run, 0), 4 * config.page_size, 1));
    assert_true(view_is_all(page_of(run, 4), 5 * config.page_size, 0));
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(run.region->entries[run.page + i], run.page + 1);
    }
    assert_int_equal(run.region->entries[run.page + 9], 0);
    assert_memory_equal(view_of(page_of(run, 9)).access, "---p", 4);
    layer_check_pages(pages);
}

static void a_gap_always_stays(void **state)
{
    (void)state;
    struct run run = take(4);
    struct run next = take(4);
    if (next.page < run.page) {
        struct run lower = next;
        next = run;
        run = lower;
    }
    size_t room = next.page - (run.page + run.count);
    assert_int_equal(pages_grow_large(pages, &run, 4 + room), -ENOMEM);
    layer_check_pages(pages);
    if (room > 1) {
        assert_int_equal(pages_grow_large(pages, &run, 4 + room - 1), 0);
        layer_check_pages(pages);
    }
}

static void a_free_neighbour_makes_room(void **state)
{
    (void)state;
    struct run runs[3] = {take(4), take(4), take(4)};
    size_t low = runs[0].page < runs[1].page ? 0 : 2;
    struct run *first = &runs[low];
    struct run *last = &runs[2 - low];
    assert_true(first->page < runs[1].page && runs[1].page < last->page);
    memset(run_start(pages, runs[1]), 0, pages_bytes(pages, 4));
    pages_give_large(pages, runs[1]);
    uint64_t locked = counter_read(&pages->counters.locked);
    assert_int_equal(pages_grow_large(pages, first, 7), 0);
    assert_int_equal(counter_read(&pages->counters.locked), locked - config.page_size);
    assert_true(view_is_all(page_of(*first, 4), 3 * config.page_size, 0));
    layer_check_pages(pages);
}

static void a_live_or_unclosable_neighbour_makes_none(void **state)
{
    (void)state;
    struct run runs[3] = {take(4), take(4), take(4)};
    size_t low = runs[0].page < runs[1].page ? 0 : 2;
    struct run *first = &runs[low];
    assert_int_equal(pages_grow_large(pages, first, 7), -ENOMEM);
    pages_give_large(pages, runs[1]);
    os_faults.only = 1u << CALL_CLOSE;
    os_faults_fail(1, true);
    assert_int_equal(pages_grow_large(pages, first, 7), -ENOMEM);
    os_faults_fail(0, false);
    layer_check_pages(pages);
    struct run again = {0};
    size_t refaulted = 0;
    assert_true(extents_take(pages, 4, config.page_size, &again, &refaulted));
    assert_int_equal(again.page, runs[1].page);
}

static void a_refused_lock_leaves_the_run_as_it_was(void **state)
{
    (void)state;
    struct run run = take(4);
    os_faults.only = 1u << CALL_LOCK;
    os_faults_fail(1, true);
    assert_int_equal(pages_grow_large(pages, &run, 9), -ENOMEM);
    os_faults_fail(0, false);
    assert_int_equal(run.count, 4);
    assert_int_equal(run.region->entries[run.page + 4], 0);
    layer_check_pages(pages);
    assert_int_equal(pages_grow_large(pages, &run, 9), 0);
    layer_check_pages(pages);
}

static void a_shrunk_run_gives_its_end_back(void **state)
{
    (void)state;
    struct run run = take(9);
    uint64_t locked = counter_read(&pages->counters.locked);
    memset(page_of(run, 3), 0, 6 * config.page_size);
    assert_int_equal(pages_shrink_large(pages, &run, 3), 0);
    assert_int_equal(run.count, 3);
    assert_int_equal(counter_read(&pages->counters.locked), locked - 6 * config.page_size);
    assert_int_equal(counter_read(&pages->counters.live), 3 * config.page_size);
    assert_memory_equal(view_of(page_of(run, 3)).access, "---p", 4);
    for (size_t i = 3; i < 9; i++) {
        assert_int_equal(run.region->entries[run.page + i], 0);
    }
    assert_true(view_is_all(page_of(run, 0), 3 * config.page_size, 1));
    layer_check_pages(pages);
    pages_give_large(pages, run);
    layer_check_pages(pages);
}

static void an_end_that_cannot_be_closed_stays(void **state)
{
    (void)state;
    struct run run = take(9);
    os_faults.only = 1u << CALL_CLOSE;
    os_faults_fail(1, true);
    assert_int_equal(pages_shrink_large(pages, &run, 3), -ENOMEM);
    os_faults_fail(0, false);
    assert_int_equal(run.count, 9);
    memset(run_start(pages, run), 0, pages_bytes(pages, 9));
    layer_check_pages(pages);
    pages_give_large(pages, run);
    layer_check_pages(pages);
}

static void a_bare_run_shrinks_but_does_not_grow(void **state)
{
    (void)state;
    struct run run = {0};
    pages->config.best_effort = true;
    os_faults.only = 1u << CALL_LOCK;
    os_faults_fail(1, true);
    assert_int_equal(layer_take_large(pages, 9, 1, &run), 0);
    os_faults_fail(0, false);
    assert_int_equal(pages_grow_large(pages, &run, 10), -ENOMEM);
    layer_check_books(pages);
    assert_int_equal(pages_shrink_large(pages, &run, 2), 0);
    assert_int_equal(counter_read(&pages->counters.unlocked), 2 * config.page_size);
    layer_check_books(pages);
    pages_give_large(pages, run);
    assert_int_equal(counter_read(&pages->counters.unlocked), 0);
    layer_check_books(pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_grows_into_closed_space, fresh, end),
        cmocka_unit_test_setup_teardown(a_gap_always_stays, fresh, end),
        cmocka_unit_test_setup_teardown(a_free_neighbour_makes_room, fresh, end),
        cmocka_unit_test_setup_teardown(a_live_or_unclosable_neighbour_makes_none, fresh, end),
        cmocka_unit_test_setup_teardown(a_refused_lock_leaves_the_run_as_it_was, fresh, end),
        cmocka_unit_test_setup_teardown(a_shrunk_run_gives_its_end_back, fresh, end),
        cmocka_unit_test_setup_teardown(an_end_that_cannot_be_closed_stays, fresh, end),
        cmocka_unit_test_setup_teardown(a_bare_run_shrinks_but_does_not_grow, fresh, end),
    };
    return layer_run(tests);
}
