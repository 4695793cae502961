/* SPDX-License-Identifier: ISC */
#include "pages/extents.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "pages/extents_list.h"
#include "pages/pages.h"
#include "unit/expect.h"
#include "unit/fresh_pages.h"
#include "unit/layer.h"
#include "unit/os_view.h"

static struct run take(size_t count)
{
    struct run run = {0};
    assert_int_equal(layer_take_large(pages, count, 1, &run), 0);
    return run;
}

static void touch(void *context)
{
    *(volatile char *)context = 1;
}

static void each_run_lies_between_inaccessible_pages(void **state)
{
    (void)state;
    for (size_t count = 1; count < 40; count += 6) {
        struct run run = take(count);
        char *start = run_start(pages, run);
        size_t size = pages_bytes(pages, count);
        memset(start, 1, size);
        assert_memory_equal(view_of(start).access, "rw-p", 4);
        assert_memory_equal(view_of(start - 1).access, "---p", 4);
        assert_memory_equal(view_of(start + size).access, "---p", 4);
        assert_int_equal(view_of(start).end - view_of(start).start, size);
        assert_death_with(touch, start - 1, SIGSEGV, NULL);
        assert_death_with(touch, start + size, SIGSEGV, NULL);
    }
    layer_check_pages(pages);
}

/* Two mappings a buffer, and the gaps are not charged. */
static void a_gap_is_shared_by_its_neighbours_and_costs_nothing(void **state)
{
    (void)state;
    take(1);
    unsigned long mappings = layer_mappings(pages);
    for (size_t i = 0; i < 50; i++) {
        take(1);
    }
    assert_int_equal(layer_mappings(pages), mappings + 100);
    assert_int_equal(counter_read(&pages->counters.locked), 51 * config.page_size);
    layer_check_pages(pages);
}

static void entries_name_the_first_page_and_gaps_nobody(void **state)
{
    (void)state;
    struct run run = take(9);
    for (size_t page = run.page; page < run.page + 9; page++) {
        assert_int_equal(run.region->entries[page], run.page + 1);
    }
    assert_int_equal(run.region->entries[run.page - 1], 0);
    assert_int_equal(run.region->entries[run.page + 9], 0);
    assert_true(atomic_load(&run.region->high) >= run.page + 9);
}

static void a_free_run_is_kept_for_the_next_of_its_size(void **state)
{
    (void)state;
    struct run first = take(10);
    struct run other = take(11);
    pages_give_large(pages, first);
    layer_check_pages(pages);
    unsigned long opens = os_faults.count[CALL_OPEN];
    assert_true(take(11).page != first.page);
    struct run again = take(10);
    assert_true(again.page == first.page && again.region == first.region);
    assert_int_equal(os_faults.count[CALL_OPEN], opens + 1);
    pages_give_large(pages, other);
    layer_check_pages(pages);
}

static void a_kept_run_of_the_wrong_alignment_is_passed_over(void **state)
{
    (void)state;
    struct run run = {0};
    struct run first = take(10);
    size_t alignment = config.page_size;
    while ((uintptr_t)run_start(pages, first) % alignment == 0) {
        alignment *= 2;
    }
    pages_give_large(pages, first);
    assert_int_equal(layer_take_large(pages, 10, alignment, &run), 0);
    assert_int_equal((uintptr_t)run_start(pages, run) % alignment, 0);
    assert_true(run.page != first.page);
    layer_check_pages(pages);
}

static void every_alignment_is_kept(void **state)
{
    (void)state;
    for (size_t alignment = 1; alignment <= (size_t)16 << 20; alignment *= 2) {
        struct run run = {0};
        assert_int_equal(layer_take_large(pages, 3, alignment, &run), 0);
        assert_int_equal((uintptr_t)run_start(pages, run) % alignment, 0);
        memset(run_start(pages, run), 1, pages_bytes(pages, 3));
    }
    layer_check_pages(pages);
}

static void refaulted_pages_are_those_that_are_not_resident(void **state)
{
    (void)state;
    struct run run = take(6);
    size_t refaulted = 99;
    pages_give_large(pages, run);
    assert_true(extents_take(pages, 6, config.page_size, &run, &refaulted));
    assert_int_equal(refaulted, 0);
    extents_give(pages, run);
    assert_int_equal(pages_purge(pages), 6 * config.page_size);
    assert_true(extents_take(pages, 6, config.page_size, &run, &refaulted));
    assert_int_equal(refaulted, 6);
    assert_false(extents_take(pages, 6, config.page_size, &run, &refaulted));
}

static void without_room_open_says_so_and_when_refused_nothing_changed(void **state)
{
    (void)state;
    struct run run;
    assert_int_equal(extents_open(pages, 1, config.page_size, false, &run), -ENOENT);
    take(1);
    struct region *region = layer_region(pages, REGION_LARGE);
    assert_int_equal(extents_open(pages, region->count, config.page_size, false, &run), -ENOENT);
    const int errors[] = {-ENOMEM, -EPERM};
    for (size_t i = 0; i < 2; i++) {
        os_faults.only = 1u << CALL_LOCK;
        os_faults.error = errors[i];
        os_faults_fail(1, true);
        assert_int_equal(extents_open(pages, 4, config.page_size, false, &run), errors[i]);
        layer_check_pages(pages);
    }
    os_faults_fail(0, false);
    assert_int_equal(extents_open(pages, 4, config.page_size, false, &run), 0);
    layer_check_pages(pages);
}

static void a_bare_run_is_closed_when_it_is_given_back(void **state)
{
    (void)state;
    struct run run;
    take(1);
    for (int closable = 0; closable < 2; closable++) {
        os_faults.only = 1u << CALL_LOCK | 1u << CALL_CLOSE;
        os_faults_fail(1, true);
        assert_int_equal(extents_open(pages, 4, config.page_size, true, &run), 0);
        assert_int_equal(counter_read(&pages->counters.unlocked), 4 * config.page_size);
        if (closable != 0) {
            os_faults_fail(0, false);
        }
        layer_check_books(pages);
        pages_give_large(pages, run);
        os_faults_fail(0, false);
        layer_check_books(pages);
        assert_int_equal(counter_read(&pages->counters.unlocked), 0);
        assert_int_equal(pages->unlocked_free, closable != 0 ? 0 : 4);
        /* What could not be closed is tried again when the budget is looked for. */
        (void)pages_release(pages, config.page_size);
        assert_int_equal(pages->unlocked_free, 0);
        layer_check_books(pages);
    }
}

static void release_closes_the_largest_first_and_joins(void **state)
{
    (void)state;
    struct run runs[6];
    for (size_t i = 0; i < 6; i++) {
        runs[i] = take(3 + 5 * i);
    }
    for (size_t i = 0; i < 6; i++) {
        pages_give_large(pages, runs[i]);
    }
    assert_int_equal(extents_release(pages, 1), 28);
    assert_int_equal(extents_release(pages, 24), 23 + 18);
    layer_check_pages(pages);
    os_faults.only = 1u << CALL_CLOSE;
    os_faults_fail(1, true);
    assert_int_equal(extents_release(pages, SIZE_MAX), 0);
    layer_check_pages(pages);
    os_faults_fail(0, false);
    assert_int_equal(extents_release(pages, SIZE_MAX), 13 + 8 + 3);
    struct region *region = layer_region(pages, REGION_LARGE);
    assert_int_equal(region->extents[0].count, region->count);
    assert_int_equal(counter_read(&pages->counters.locked), 0);
    layer_check_pages(pages);
}

static void a_spent_budget_releases_kept_runs_of_other_sizes(void **state)
{
    (void)state;
    layer_end_pages(pages);
    config.lock_limit = 64 * config.page_size;
    pages = layer_pages(&config);
    pages_give_large(pages, take(20));
    pages_give_large(pages, take(40));
    struct run run = take(60);
    layer_check_pages(pages);
    pages_give_large(pages, run);
    struct run small;
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(layer_take(pages, 1, &small), 0);
    }
    layer_check_pages(pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_run_lies_between_inaccessible_pages, fresh, end),
        cmocka_unit_test_setup_teardown(a_gap_is_shared_by_its_neighbours_and_costs_nothing, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(entries_name_the_first_page_and_gaps_nobody, fresh, end),
        cmocka_unit_test_setup_teardown(a_free_run_is_kept_for_the_next_of_its_size, fresh, end),
        cmocka_unit_test_setup_teardown(a_kept_run_of_the_wrong_alignment_is_passed_over, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(every_alignment_is_kept, fresh, end),
        cmocka_unit_test_setup_teardown(refaulted_pages_are_those_that_are_not_resident, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(without_room_open_says_so_and_when_refused_nothing_changed,
                                        fresh, end),
        cmocka_unit_test_setup_teardown(a_bare_run_is_closed_when_it_is_given_back, fresh, end),
        cmocka_unit_test_setup_teardown(release_closes_the_largest_first_and_joins, fresh, end),
        cmocka_unit_test_setup_teardown(a_spent_budget_releases_kept_runs_of_other_sizes, fresh,
                                        end),
    };
    return layer_run(tests);
}
