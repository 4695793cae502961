/* SPDX-License-Identifier: ISC */
/* How much is released, and of what; how a stretch is released: pages_runs_release.c and
 * pages_extents.c. */
#include "pages/pages.h"
#include "unit/fresh_pages.h"
#include "unit/layer.h"

enum { RUNS = 200 };

static struct run runs[RUNS];

static uint64_t locked(void)
{
    return counter_read(&pages->counters.locked);
}

static void nothing_is_released_of_nothing(void **state)
{
    (void)state;
    assert_int_equal(pages_release(pages, UINT64_MAX), 0);
    for (size_t i = 0; i < RUNS; i++) {
        assert_int_equal(layer_take(pages, 1, &runs[i]), 0);
    }
    (void)pages_release(pages, UINT64_MAX); /* what was opened beyond them */
    assert_int_equal(pages_release(pages, UINT64_MAX), 0);
    layer_check_pages(pages);
}

static void it_says_how_many_bytes_of_budget_are_back(void **state)
{
    (void)state;
    struct run large;
    for (size_t i = 0; i < RUNS; i++) {
        assert_int_equal(layer_take(pages, 1 + i % 3, &runs[i]), 0);
    }
    assert_int_equal(layer_take_large(pages, 50, 1, &large), 0);
    for (size_t i = 0; i < RUNS; i += 3) {
        pages_give(pages, runs[i]);
    }
    pages_give_large(pages, large);
    for (uint64_t wanted = 1; wanted < 400; wanted *= 3) {
        uint64_t before = locked();
        size_t released = pages_release(pages, wanted * config.page_size);
        assert_int_equal(locked(), before - released);
        assert_true(released >= wanted * config.page_size || pages_release(pages, UINT64_MAX) == 0);
        layer_check_pages(pages);
    }
}

static void all_that_is_free_is_released_in_the_end(void **state)
{
    (void)state;
    struct run large[10];
    for (size_t i = 0; i < RUNS; i++) {
        assert_int_equal(layer_take(pages, 1 + i % 8, &runs[i]), 0);
    }
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(layer_take_large(pages, 1 + i * i, 1, &large[i]), 0);
    }
    for (size_t i = 0; i < RUNS; i++) {
        pages_give(pages, runs[i]);
    }
    for (size_t i = 0; i < 10; i++) {
        pages_give_large(pages, large[i]);
    }
    uint64_t before = locked();
    assert_int_equal(pages_release(pages, UINT64_MAX), before);
    assert_int_equal(locked(), 0);
    assert_int_equal(counter_read(&pages->counters.dirty), 0);
    assert_false(atomic_load(&pages->purge_due));
    layer_check_pages(pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_released_of_nothing, fresh, end),
        cmocka_unit_test_setup_teardown(it_says_how_many_bytes_of_budget_are_back, fresh, end),
        cmocka_unit_test_setup_teardown(all_that_is_free_is_released_in_the_end, fresh, end),
    };
    return layer_run(tests);
}
