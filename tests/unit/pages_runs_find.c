/* SPDX-License-Identifier: ISC */
#include "pages/pages.h"
#include "pages/runs.h"
#include "unit/expect.h"
#include "unit/fresh_pages.h"
#include "unit/layer.h"

/* So many chunks, all of them open. */
static void use_chunks(size_t count)
{
    layer_end_pages(pages);
    config.lock_limit = count * CHUNK_PAGES * config.page_size;
    pages = layer_pages(&config);
    assert_int_equal(pages_reserve(pages, (count * CHUNK_PAGES - 1) * config.page_size), 0);
}

static struct run take(size_t count)
{
    struct run run = {0};
    assert_int_equal(layer_take(pages, count, &run), 0);
    return run;
}

static void a_run_that_was_just_given_is_taken_first(void **state)
{
    (void)state;
    struct run runs[40];
    for (size_t i = 0; i < 40; i++) {
        runs[i] = take(2);
    }
    pages_give(pages, runs[3]);
    pages_give(pages, runs[30]);
    struct run again = take(2);
    assert_int_equal(again.page, runs[30].page);
    again = take(2);
    assert_int_equal(again.page, runs[3].page);
}

static void free_chunks_are_found_by_their_longest_run(void **state)
{
    (void)state;
    struct run runs[31];
    use_chunks(1);
    for (size_t i = 0; i < 31; i++) {
        runs[i] = take(1);
    }
    size_t refaulted = 0;
    struct run run;
    /* Free runs of 1, 3 (5 to 7) and 2 (10, 11). */
    const size_t given[] = {0, 5, 6, 7, 10, 11};
    for (size_t i = 0; i < 6; i++) {
        pages_give(pages, runs[given[i]]);
    }
    while (counter_read(&pages->counters.dirty) > 0) {
        (void)pages_purge(pages);
    }
    layer_check_books(pages);
    struct chunk *chunk = chunk_of(runs[0].region, 0);
    assert_true(chunk->bin >= 3);
    assert_int_equal(chunk->clean & run_mask(0, 13), (1u << 0) | (7u << 5) | (3u << 10));
    while (runs_take(pages, RUN_PAGES_MAX, &run, &refaulted)) {
    }
    assert_true(runs_take(pages, 3, &run, &refaulted));
    assert_true(runs_take(pages, 2, &run, &refaulted));
    layer_check_books(pages);
}

/* ---- single pages and longer runs ---- */

static uint8_t kind_of(struct run run)
{
    return chunk_of(run.region, run.page)->kind;
}

static void single_pages_and_longer_runs_keep_apart(void **state)
{
    (void)state;
    enum { EACH = 20 };
    struct run singles[EACH];
    struct run longer[EACH];
    assert_int_equal(pages_reserve(pages, 8 * CHUNK_PAGES * config.page_size), 0);
    for (size_t i = 0; i < EACH; i++) {
        singles[i] = take(1);
        longer[i] = take(2 + i % 3);
    }
    for (size_t i = 0; i < EACH; i++) {
        assert_int_equal(kind_of(singles[i]), CHUNK_SINGLE);
        assert_int_equal(kind_of(longer[i]), CHUNK_LONGER);
    }
    /* The last one to leave, not the first, lets the other kind in. */
    for (size_t i = 0; i < EACH; i++) {
        assert_int_equal(kind_of(singles[EACH - 1]), CHUNK_SINGLE);
        pages_give(pages, singles[i]);
        pages_give(pages, longer[i]);
    }
    assert_int_equal(kind_of(singles[EACH - 1]), CHUNK_IDLE);
    assert_int_equal(kind_of(longer[EACH - 1]), CHUNK_IDLE);
    layer_check_pages(pages);
}

static void where_there_is_no_other_room_they_share(void **state)
{
    (void)state;
    use_chunks(1);
    struct run single = take(1);
    struct run longer = take(3);
    assert_ptr_equal(chunk_of(single.region, single.page), chunk_of(longer.region, longer.page));
    assert_int_equal(kind_of(longer), CHUNK_SINGLE); /* who came first says */
    pages_give(pages, single);
    assert_int_equal(kind_of(longer), CHUNK_SINGLE);
    (void)take(1);
    pages_give(pages, longer);
    layer_check_pages(pages);
}

/* Takes runs of two pages until there are none. Returns how many. */
static size_t take_all_pairs(struct run *pairs)
{
    size_t count = 0;
    size_t cold = 0;
    while (runs_take(pages, 2, &pairs[count], &cold)) {
        count++;
    }
    return count;
}

static void single_pages_among_longer_runs_lie_together(void **state)
{
    (void)state;
    enum { CHUNKS = 4, GIVEN = 3 };
    struct run pairs[CHUNKS * CHUNK_PAGES];
    use_chunks(CHUNKS);
    size_t count = take_all_pairs(pairs);
    /* Room in each chunk, and in the last the most. */
    uint32_t given[CHUNKS] = {0};
    for (size_t i = 0; i < count; i++) {
        size_t chunk = pairs[i].page / CHUNK_PAGES;
        assert_true(pairs[i].region == pairs[0].region && chunk < CHUNKS);
        if (given[chunk] < GIVEN + (chunk == CHUNKS - 1)) {
            given[chunk]++;
            runs_give(pages, pairs[i]);
        }
    }
    /* The one with the most room first, and each is filled before the next. */
    struct run single = {0};
    size_t cold = 0;
    assert_true(runs_take(pages, 1, &single, &cold));
    assert_int_equal(single.page / CHUNK_PAGES, CHUNKS - 1);
    for (size_t chunks = 1; chunks < CHUNKS; chunks++) {
        struct chunk *chunk = chunk_of(single.region, single.page);
        assert_int_equal(chunk->kind, CHUNK_LONGER);
        while (chunk->bin != 0) {
            assert_true(runs_take(pages, 1, &single, &cold));
            assert_ptr_equal(chunk_of(single.region, single.page), chunk);
        }
        assert_true(runs_take(pages, 1, &single, &cold));
        assert_ptr_not_equal(chunk_of(single.region, single.page), chunk);
    }
    layer_check_books(pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_that_was_just_given_is_taken_first, fresh, end),
        cmocka_unit_test_setup_teardown(free_chunks_are_found_by_their_longest_run, fresh, end),
        cmocka_unit_test_setup_teardown(single_pages_and_longer_runs_keep_apart, fresh, end),
        cmocka_unit_test_setup_teardown(where_there_is_no_other_room_they_share, fresh, end),
        cmocka_unit_test_setup_teardown(single_pages_among_longer_runs_lie_together, fresh, end),
    };
    return layer_run(tests);
}
