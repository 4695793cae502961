/* SPDX-License-Identifier: ISC */
#include "pages/extents_list.h"

#include <signal.h>

#include "pages/pages.h"
#include "unit/expect.h"
#include "unit/layer.h"

static struct pages *pages;
static struct region *region;
static struct extent_bins bins;

enum { PAGES = 200 };

static int fresh(void **state)
{
    struct pages_config config = layer_pages_config();
    (void)state;
    pages = layer_pages(&config);
    bins = (struct extent_bins){0};
    size_t size = PAGES * config.page_size;
    return region_reserve(pages, REGION_LARGE, size, size, &region);
}

static int end(void **state)
{
    (void)state;
    layer_end_pages(pages);
    return 0;
}

/* ---- bins ---- */

static void sizes_up_to_32_pages_have_a_bin_each(void **state)
{
    (void)state;
    for (size_t count = 1; count <= 32; count++) {
        assert_int_equal(extent_bin(count), count - 1);
    }
}

static void a_larger_size_never_has_a_lower_bin(void **state)
{
    (void)state;
    for (size_t count = 1; count < 100000; count++) {
        assert_true(extent_bin(count) <= extent_bin(count + 1));
        assert_true(extent_bin(count + 1) <= extent_bin(count) + 1);
    }
    /* Four a doubling. */
    for (size_t log = 6; log < 44; log++) {
        assert_int_equal(extent_bin((size_t)1 << log) + 4, extent_bin((size_t)2 << log));
    }
    assert_true(extent_bin(((size_t)1 << 44) - 1) < EXTENT_BINS);
}

static void the_next_bin_is_the_lowest_that_holds_something(void **state)
{
    (void)state;
    assert_int_equal(extent_bins_next(&bins, 0), EXTENT_BINS);
    const size_t counts[] = {1, 7, 32, 33, 90, 100};
    struct extent extents[6] = {0};
    for (size_t i = 0; i < 6; i++) {
        extents[i].count = counts[i];
        extent_bins_add(&bins, &extents[i]);
    }
    size_t bin = 0;
    for (size_t i = 0; i < 6; i++) {
        bin = extent_bins_next(&bins, bin);
        assert_int_equal(bin, extent_bin(counts[i]));
        bin += i + 1 == 6 || extent_bin(counts[i + 1]) != bin;
    }
    assert_int_equal(extent_bins_next(&bins, bin), EXTENT_BINS);
}

static void extents_leave_a_bin_in_any_order(void **state)
{
    (void)state;
    static const size_t orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 3, 0, 2}, {2, 0, 3, 1}};
    for (size_t order = 0; order < 4; order++) {
        struct extent extents[4] = {0};
        for (size_t i = 0; i < 4; i++) {
            extents[i].count = 5;
            extent_bins_add(&bins, &extents[i]);
        }
        for (size_t i = 0; i < 4; i++) {
            assert_int_equal(extent_bins_next(&bins, 0), extent_bin(5));
            extent_bins_remove(&bins, &extents[orders[order][i]]);
            size_t left = 0;
            for (struct extent *e = bins.heads[extent_bin(5)]; e != NULL; e = e->next) {
                assert_true(e->next == NULL || e->next->prev == e);
                left++;
            }
            assert_int_equal(left, 3 - i);
        }
        assert_int_equal(extent_bins_next(&bins, 0), EXTENT_BINS);
    }
}

/* ---- the sequence ---- */

static void a_new_region_is_one_closed_extent(void **state)
{
    (void)state;
    struct extent *extent = &region->extents[0];
    assert_int_equal(extent->state, EXTENT_CLOSED);
    assert_int_equal(extent->count, PAGES);
    assert_int_equal(extent_first(extent), 0);
    assert_null(extent_left(extent));
    assert_null(extent_right(extent));
    extents_validate(pages, region);
}

static void neighbours_are_found_on_both_sides(void **state)
{
    (void)state;
    extent_bins_remove(&pages->extents.closed, &region->extents[0]);
    struct extent *left = extent_set(region, 0, 10, EXTENT_CLOSED);
    struct extent *middle = extent_set(region, 10, 1, EXTENT_LIVE);
    struct extent *right = extent_set(region, 11, PAGES - 11, EXTENT_CLOSED);
    extent_bins_add(&pages->extents.closed, left);
    extent_bins_add(&pages->extents.closed, right);
    assert_ptr_equal(extent_left(middle), left);
    assert_ptr_equal(extent_right(middle), right);
    assert_ptr_equal(extent_right(left), middle);
    assert_ptr_equal(extent_left(right), middle);
    extents_validate(pages, region);
    extents_add_closed(pages, region, 10, 1);
    assert_int_equal(region->extents[0].count, PAGES);
    extents_validate(pages, region);
}

static void closed_extents_join_on_either_side(void **state)
{
    (void)state;
    struct run runs[3];
    for (size_t turn = 0; turn < 4; turn++) {
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(extents_open(pages, 5, pages->config.page_size, false, &runs[i]), 0);
        }
        extents_validate(pages, region);
        for (size_t i = 0; i < 3; i++) {
            struct extent *extent = &region->extents[runs[(i + turn) % 3].page];
            counter_sub(&pages->counters.live, pages_bytes(pages, 5));
            assert_int_equal(extents_close(pages, extent), 0);
            layer_check_books(pages);
        }
        assert_int_equal(region->extents[0].count, PAGES);
        assert_int_equal(extent_bins_next(&pages->extents.closed, 0), extent_bin(PAGES));
    }
}

static void break_sequence(void *context)
{
    region->extents[0].count -= *(size_t *)context;
    extents_validate(pages, region);
}

static void break_state(void *context)
{
    (void)context;
    struct run run;
    EXPECT(extents_open(pages, 5, pages->config.page_size, false, &run) == 0);
    region->extents[run.page].state = EXTENT_CLOSED;
    extents_validate(pages, region);
}

static void a_broken_sequence_is_seen(void **state)
{
    (void)state;
    size_t one = 1;
    assert_death_with(break_sequence, &one, SIGABRT, "secure_malloc: fatal: broken invariant");
    assert_death(break_state, SIGABRT, "secure_malloc: fatal: broken invariant");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_up_to_32_pages_have_a_bin_each),
        cmocka_unit_test(a_larger_size_never_has_a_lower_bin),
        cmocka_unit_test_setup_teardown(the_next_bin_is_the_lowest_that_holds_something, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(extents_leave_a_bin_in_any_order, fresh, end),
        cmocka_unit_test_setup_teardown(a_new_region_is_one_closed_extent, fresh, end),
        cmocka_unit_test_setup_teardown(neighbours_are_found_on_both_sides, fresh, end),
        cmocka_unit_test_setup_teardown(closed_extents_join_on_either_side, fresh, end),
        cmocka_unit_test_setup_teardown(a_broken_sequence_is_seen, fresh, end),
    };
    return layer_run(tests);
}
