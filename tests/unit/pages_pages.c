/* SPDX-License-Identifier: ISC */
#include "pages/pages.h"

#include <errno.h>
#include <stdlib.h>

#include "unit/expect.h"
#include "unit/layer.h"
#include "unit/model.h"
#include "unit/os_view.h"
#include "unit/pages_model.h"

static struct holder held;

/* ---- random sequences against a model ---- */

static void slab_step(void)
{
    struct pages *pages = held.pages;
    uint32_t what = model_below(100);
    if (what < 50 && held.count < HELD_MAX) {
        int error = holder_take(&held, 1 + model_below(RUN_PAGES_MAX));
        assert_true(error == 0 || (error == -ENOMEM && pages->config.lock_limit != 0));
    } else if (what < 92 && held.count > 0) {
        holder_give(&held, model_below((uint32_t)held.count));
    } else if (what < 94) {
        pages_purge_due(pages);
    } else if (what < 97) {
        uint64_t dirty = counter_read(&pages->counters.dirty);
        assert_int_equal(pages_purge(pages), dirty);
        assert_int_equal(counter_read(&pages->counters.dirty), 0);
    } else {
        uint64_t locked = counter_read(&pages->counters.locked);
        size_t released = pages_release(pages, model_below(64) * pages->config.page_size);
        assert_int_equal(counter_read(&pages->counters.locked), locked - released);
    }
}

static void large_step(void)
{
    struct pages *pages = held.pages;
    uint32_t what = model_below(100);
    size_t index = held.count > 0 ? model_below((uint32_t)held.count) : 0;
    if (what < 40 && held.count < 60) {
        size_t alignment = (size_t)1 << (model_below(4) == 0 ? model_below(19) : 0);
        int error = holder_take_large(&held, 1 + model_below(40), alignment);
        assert_true(error == 0 || (error == -ENOMEM && pages->config.lock_limit != 0));
    } else if (what < 65 && held.count > 0) {
        holder_give(&held, index);
    } else if (what < 90 && held.count > 0 && held.runs[index].large) {
        int error = holder_resize(&held, index, 1 + model_below(50));
        assert_true(error == 0 || error == -ENOMEM);
    } else if (what < 93) {
        pages_purge_due(pages);
    } else if (what < 96) {
        uint64_t dirty = counter_read(&pages->counters.dirty);
        assert_int_equal(pages_purge(pages), dirty);
    } else {
        pages_release(pages, model_below(64) * pages->config.page_size);
    }
}

static void run_model(uint64_t seed, const struct pages_config *config, void (*step)(void),
                      unsigned long steps)
{
    model_begin(seed);
    held = (struct holder){.pages = layer_pages(config)};
    struct pages *pages = held.pages;
    for (model.step = 1; model.step <= steps; model.step++) {
        step();
        layer_check_books(pages);
        if (config->lock_limit != 0) {
            assert_true(counter_read(&pages->counters.locked) <= config->lock_limit);
        }
        if (model.step % 100 == 0) {
            layer_check_pages(pages);
        }
    }
    holder_give_all(&held);
    (void)pages_purge(pages);
    (void)pages_release(pages, UINT64_MAX);
    layer_check_pages(pages);
    assert_int_equal(counter_read(&pages->counters.live), 0);
    assert_int_equal(counter_read(&pages->counters.locked), 0);
    layer_end_pages(pages);
    model_end();
}

static void either_step(void)
{
    (model_below(2) == 0 ? slab_step : large_step)();
}

static void random_slab_runs_never_overlap_and_books_balance(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    for (uint64_t seed = 1; seed <= 4; seed++) {
        run_model(seed, &config, slab_step, 700);
    }
    config.purge_limit = 0;
    run_model(5, &config, slab_step, 500);
}

static void random_large_runs_never_overlap_and_books_balance(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    for (uint64_t seed = 11; seed <= 13; seed++) {
        run_model(seed, &config, large_step, 600);
    }
    config.purge_limit = 0;
    run_model(14, &config, large_step, 400);
}

static void random_runs_stay_within_the_lock_limit(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    for (uint64_t seed = 21; seed <= 24; seed++) {
        config.lock_limit = (16u << (seed % 4)) * config.page_size;
        run_model(seed, &config, either_step, 700);
    }
}

/* ---- populating ---- */

/* Much is live, so that ten pages may be populated ahead. */
static struct pages *much_live(void)
{
    struct pages_config config = layer_pages_config();
    struct pages *pages = layer_pages(&config);
    struct run large;
    assert_int_equal(pages_reserve(pages, (CHUNK_PAGES - 1) * config.page_size), 0);
    assert_int_equal(layer_take_large(pages, 160, 1, &large), 0);
    return pages;
}

static void a_cold_run_and_pages_behind_it_are_populated_at_once(void **state)
{
    (void)state;
    struct pages *pages = much_live();
    size_t page = pages->config.page_size;
    size_t cold = 1;
    struct run run;
    assert_int_equal(pages_take(pages, 2, true, &run, &cold), 0);
    assert_true(os_faults.count[CALL_POPULATE] > 0);
    if (cold != 0) {
        layer_end_pages(pages);
        skip_test("this kernel has no MADV_POPULATE_WRITE (Linux 5.14)");
    }
    const char *start = run_start(pages, run);
    for (size_t i = 0; i < 2 + 10 + 1; i++) {
        assert_int_equal(view_is_resident(start + i * page), i < 2 + 10);
    }
    assert_int_equal(counter_read(&pages->counters.dirty), 10 * page);
    layer_check_pages(pages);
    /* The next ones find theirs there. */
    unsigned long populated = os_faults.count[CALL_POPULATE];
    uint64_t retaken = pages->policy.retaken;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(pages_take(pages, 2, true, &run, &cold), 0);
        assert_int_equal(cold, 0);
        assert_true(view_is_resident(run_start(pages, run)));
    }
    assert_int_equal(os_faults.count[CALL_POPULATE], populated);
    assert_int_equal(counter_read(&pages->counters.dirty), 0);
    assert_int_equal(pages->policy.retaken, retaken); /* nothing was purged */
    layer_check_pages(pages);
    layer_end_pages(pages);
}

static void what_cannot_be_populated_is_cold(void **state)
{
    (void)state;
    struct pages *pages = much_live();
    os_faults.no_populate = true;
    for (size_t i = 0; i < 4; i++) {
        size_t cold = 0;
        struct run run;
        assert_int_equal(pages_take(pages, 8, true, &run, &cold), 0);
        assert_int_equal(run.count, 8);
        assert_true(view_is_all(run_start(pages, run), pages_bytes(pages, 8), 0));
        layer_check_pages(pages);
    }
    assert_true(os_faults.count[CALL_POPULATE] > 0);
    layer_end_pages(pages);
}

static void where_little_is_live_single_pages_are_not_populated(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    struct pages *pages = layer_pages(&config);
    size_t cold = 0;
    struct run run;
    for (size_t i = 0; i < 15; i++) {
        assert_int_equal(pages_take(pages, 1, true, &run, &cold), 0);
        assert_int_equal(cold, 1);
        assert_false(view_is_resident(run_start(pages, run)));
    }
    assert_int_equal(os_faults.count[CALL_POPULATE], 0);
    assert_int_equal(counter_read(&pages->counters.dirty), 0);
    layer_end_pages(pages);
}

static void who_can_do_without_gets_only_what_is_easy(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    config.best_effort = true;
    struct pages *pages = layer_pages(&config);
    struct run run;
    struct run live;
    size_t cold = 0;
    assert_int_equal(layer_take(pages, 1, &live), 0);
    os_faults.only = 1u << CALL_LOCK;
    os_faults_fail(1, true);
    while (pages_take(pages, 1, false, &run, &cold) == 0) { /* what is open is easy */
        assert_int_equal(counter_read(&pages->counters.unlocked), 0);
    }
    assert_int_equal(pages_take(pages, 1, false, &run, &cold), -ENOMEM);
    assert_int_equal(counter_read(&pages->counters.lock_failures), 0);
    assert_int_equal(pages_take(pages, 1, true, &run, &cold), 0);
    assert_int_equal(counter_read(&pages->counters.unlocked), config.page_size);
    os_faults_reset();
    layer_check_pages(pages);
    layer_end_pages(pages);
}

/* A purge that is under way is not waited for. */
static void beside_a_purge_nothing_is_populated(void **state)
{
    (void)state;
    struct pages *pages = much_live();
    size_t cold = 0;
    struct run run;
    mutex_lock(&pages->purge_mutex);
    assert_int_equal(pages_take(pages, 2, true, &run, &cold), 0);
    mutex_unlock(&pages->purge_mutex);
    assert_int_equal(cold, 2);
    assert_int_equal(os_faults.count[CALL_POPULATE], 0);
    layer_check_pages(pages);
    layer_end_pages(pages);
}

/* ---- limits and steps ---- */

static void the_last_page_of_the_limit_can_be_had(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    config.lock_limit = 37 * config.page_size;
    struct pages *pages = layer_pages(&config);
    struct run run;
    size_t taken = 0;
    while (layer_take(pages, 1, &run) == 0) {
        taken++;
    }
    size_t guards = pages_bytes(pages, 37 - taken) / config.page_size;
    assert_true(guards <= 1);
    assert_int_equal(counter_read(&pages->counters.locked), config.lock_limit);
    assert_int_equal(layer_take(pages, 1, &run), -ENOMEM);
    layer_check_pages(pages);
    layer_end_pages(pages);
}

static void a_step_is_a_32nd_of_what_is_open_or_a_64th_of_the_limit(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    config.lock_limit = 1024 * config.page_size;
    struct pages *pages = layer_pages(&config);
    struct run run;
    for (size_t i = 0; i < 900; i++) {
        uint64_t open = counter_read(&pages->counters.locked);
        uint64_t of_limit = config.lock_limit / 64;
        uint64_t step = open / 32 > of_limit ? open / 32 : of_limit;
        os_faults.largest_open = 0;
        assert_int_equal(layer_take(pages, 1, &run), 0);
        /* A guard that the step goes across is charged on top. */
        assert_true(os_faults.largest_open <= step + 2 * config.page_size);
    }
    layer_end_pages(pages);
}

static void a_refused_step_is_halved_down_to_one_page(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    struct pages *pages = layer_pages(&config);
    struct run run;
    os_faults.lock_limit = UINT64_MAX;
    os_faults.only = 1u << CALL_LOCK;
    for (unsigned long refused = 1; (64 >> refused) > 0; refused++) {
        unsigned long before = os_faults.count[CALL_OPEN];
        os_faults_fail(1, true);
        os_faults.on = true;
        assert_int_equal(layer_take(pages, 1, &run), -ENOMEM);
        /* 256 KiB, and halves of it, twice. */
        size_t halvings = 0;
        for (size_t size = 256 * 1024; size >= config.page_size; size /= 2) {
            halvings++;
        }
        assert_int_equal(os_faults.count[CALL_OPEN] - before, 2 * halvings);
        layer_check_books(pages);
    }
    os_faults_fail(0, false);
    assert_int_equal(layer_take(pages, 1, &run), 0);
    layer_end_pages(pages);
}

/* What another buffer cannot use must not be spent on it. */
static void half_the_budget_free_in_single_pages_still_gives_a_long_run(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    config.lock_limit = 64 * config.page_size;
    held = (struct holder){.pages = layer_pages(&config)};
    while (holder_take(&held, 1) == 0) {
    }
    for (size_t i = held.count; i-- > 0;) {
        if (held.runs[i].run.page % 2 == 1) {
            holder_give(&held, i);
        }
    }
    layer_check_books(held.pages);
    assert_int_equal(holder_take(&held, 4), 0);
    layer_check_pages(held.pages);
    layer_end_pages(held.pages);
}

static void a_run_longer_than_any_may_be_locked_costs_no_address_space(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    config.lock_limit = 64 * config.page_size;
    struct pages *pages = layer_pages(&config);
    struct run run;
    assert_int_equal(layer_take_large(pages, 100, 1, &run), -ENOMEM);
    uint64_t reserved = counter_read(&pages->counters.reserved);
    for (size_t count = 1000; count < 1100; count += 10) {
        assert_int_equal(layer_take_large(pages, count, 1, &run), -ENOMEM);
    }
    assert_int_equal(counter_read(&pages->counters.reserved), reserved);
    layer_end_pages(pages);
}

static void impossible_sizes_are_enomem(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    struct pages *pages = layer_pages(&config);
    struct run run;
    for (size_t size = (size_t)1 << 48; size != 0; size += size) {
        size_t count = size / config.page_size;
        /* A free run is there to be looked at, until a failure has released it. */
        assert_int_equal(layer_take_large(pages, 3, 1, &run), 0);
        pages_give_large(pages, run);
        assert_int_equal(layer_take_large(pages, count, 1, &run), -ENOMEM);
        assert_int_equal(layer_take_large(pages, count * 2 - 1, 1, &run), -ENOMEM);
        assert_int_equal(layer_take_large(pages, count, size, &run), -ENOMEM);
        assert_int_equal(layer_take_large(pages, 1, size, &run), -ENOMEM);
    }
    assert_int_equal(layer_take_large(pages, SIZE_MAX, 1, &run), -ENOMEM);
    layer_check_books(pages);
    layer_end_pages(pages);
}

static void reserve_opens_and_locks_at_least_that_much(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    struct pages *pages = layer_pages(&config);
    size_t size = 300 * config.page_size;
    assert_int_equal(pages_reserve(pages, size), 0);
    assert_true(counter_read(&pages->counters.locked) >= size);
    unsigned long opens = os_faults.count[CALL_OPEN];
    struct run run;
    for (size_t i = 0; i < 280; i++) {
        assert_int_equal(layer_take(pages, 1, &run), 0);
    }
    assert_int_equal(os_faults.count[CALL_OPEN], opens);
    layer_check_pages(pages);
    layer_end_pages(pages);
}

/* ---- best effort ---- */

static void best_effort_uses_what_it_cannot_lock_and_closes_it_after(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    config.best_effort = true;
    config.lock_limit = 20 * config.page_size;
    held = (struct holder){.pages = layer_pages(&config)};
    struct pages *pages = held.pages;
    for (size_t i = 0; i < 200; i++) {
        assert_int_equal(holder_take(&held, 1), 0);
        assert_int_equal(holder_take_large(&held, 3, 1), 0);
        layer_check_books(pages);
    }
    assert_true(counter_read(&pages->counters.unlocked) > 0);
    assert_true(counter_read(&pages->counters.lock_failures) > 0);
    layer_check_pages(pages);
    holder_give_all(&held);
    assert_int_equal(counter_read(&pages->counters.unlocked), 0);
    layer_check_pages(pages);
    assert_int_equal(os_faults.pretend_locks ? 0 : layer_open_unlocked(pages), 0);
    layer_end_pages(pages);
}

/* The pages that a chunk has left over must not pass for room. */
static void best_effort_runs_of_every_length_always_find_room(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    config.best_effort = true;
    config.lock_limit = config.page_size;
    for (size_t count = 1; count <= RUN_PAGES_MAX; count++) {
        struct pages *pages = layer_pages(&config);
        struct run run;
        for (size_t i = 0; i < 1000 / count; i++) {
            assert_int_equal(layer_take(pages, count, &run), 0);
        }
        layer_check_books(pages);
        layer_end_pages(pages);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(random_slab_runs_never_overlap_and_books_balance, model_teardown),
        cmocka_unit_test_teardown(random_large_runs_never_overlap_and_books_balance,
                                  model_teardown),
        cmocka_unit_test_teardown(random_runs_stay_within_the_lock_limit, model_teardown),
        cmocka_unit_test(a_cold_run_and_pages_behind_it_are_populated_at_once),
        cmocka_unit_test(what_cannot_be_populated_is_cold),
        cmocka_unit_test(where_little_is_live_single_pages_are_not_populated),
        cmocka_unit_test(who_can_do_without_gets_only_what_is_easy),
        cmocka_unit_test(beside_a_purge_nothing_is_populated),
        cmocka_unit_test(the_last_page_of_the_limit_can_be_had),
        cmocka_unit_test(a_step_is_a_32nd_of_what_is_open_or_a_64th_of_the_limit),
        cmocka_unit_test(a_refused_step_is_halved_down_to_one_page),
        cmocka_unit_test(half_the_budget_free_in_single_pages_still_gives_a_long_run),
        cmocka_unit_test(a_run_longer_than_any_may_be_locked_costs_no_address_space),
        cmocka_unit_test(impossible_sizes_are_enomem),
        cmocka_unit_test(reserve_opens_and_locks_at_least_that_much),
        cmocka_unit_test(best_effort_uses_what_it_cannot_lock_and_closes_it_after),
        cmocka_unit_test(best_effort_runs_of_every_length_always_find_room),
    };
    return layer_run(tests);
}
