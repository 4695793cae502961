/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "pages/pages.h"
#include "unit/expect.h"
#include "unit/layer.h"
#include "unit/os_view.h"
#include "unit/pages_model.h"

static struct holder held;
static struct pages_config config;

static int fresh(void **state)
{
    (void)state;
    config = layer_pages_config();
    config.purge_limit = UINT64_C(1) << 40; /* not before it is asked for */
    held = (struct holder){.pages = layer_pages(&config)};
    return 0;
}

static int end(void **state)
{
    (void)state;
    layer_end_pages(held.pages);
    return 0;
}

static void take(size_t runs, size_t count)
{
    for (size_t i = 0; i < runs; i++) {
        assert_int_equal(holder_take(&held, count), 0);
    }
}

static uint64_t counted(const counter *value)
{
    return counter_read(value);
}

/* ---- what a purge does ---- */

static void purged_pages_are_not_resident_but_locked(void **state)
{
    (void)state;
    take(20, 3);
    assert_int_equal(holder_take_large(&held, 10, 1), 0);
    char *slab = run_start(held.pages, held.runs[0].run);
    char *large = run_start(held.pages, held.runs[20].run);
    holder_give_all(&held);
    assert_true(view_is_resident(slab) && view_is_resident(large));
    uint64_t locked = counted(&held.pages->counters.locked);
    uint64_t dirty = counted(&held.pages->counters.dirty);
    assert_true(dirty >= 70 * config.page_size); /* and what was populated ahead */
    assert_int_equal(pages_purge(held.pages), dirty);
    assert_false(view_is_resident(slab) || view_is_resident(large));
    assert_int_equal(counted(&held.pages->counters.locked), locked);
    assert_int_equal(counted(&held.pages->counters.purged), dirty);
    assert_int_equal(counted(&held.pages->counters.purges), 1);
    assert_int_equal(pages_purge(held.pages), 0);
    assert_int_equal(counted(&held.pages->counters.purges), 1);
    layer_check_pages(held.pages);
}

static void bookkeeping_of_free_pages_goes_with_them(void **state)
{
    (void)state;
    take(300, 1);
    struct held first = held.runs[150];
    char *records = holder_records(&held, &first);
    assert_true(view_is_resident(records - (uintptr_t)records % config.page_size));
    holder_give_all(&held);
    (void)pages_purge(held.pages);
    assert_false(view_is_resident(records - (uintptr_t)records % config.page_size));
    layer_check_pages(held.pages);
    take(300, 1); /* checks that records and owners read zero */
}

static void pages_of_bookkeeping_that_lie_together_are_one_range(void **state)
{
    (void)state;
    bool joined = false;
    take(100, 1);
    holder_give_all(&held);
    (void)pages_purge(held.pages);
    assert_int_equal(counted(&held.pages->counters.purges), 1); /* all ranges are those of one */
    const struct os_range *ranges = held.pages->ranges;
    for (size_t i = 1; i < OS_PURGE_RANGES_MAX && ranges[i].size > 0; i++) {
        const char *before = (const char *)ranges[i - 1].start + ranges[i - 1].size;
        assert_true(ranges[i].locked || ranges[i - 1].locked || ranges[i].start != before);
        joined = joined || (!ranges[i].locked && ranges[i].size > config.page_size);
    }
    assert_true(joined);
    layer_check_pages(held.pages);
}

static void bookkeeping_that_speaks_of_a_live_page_stays(void **state)
{
    (void)state;
    take(200, 1);
    while (held.count > 20) { /* every tenth or so of what was taken */
        holder_give(&held, held.count - 2 - held.count % 3);
    }
    for (size_t i = 0; i < 3; i++) {
        (void)pages_purge(held.pages);
        for (size_t j = 0; j < held.count; j++) {
            holder_check_mark(&held, &held.runs[j], 1);
        }
        take(30, 1);
        holder_give(&held, 0);
    }
    layer_check_pages(held.pages);
}

/* ---- when ---- */

static void nothing_happens_at_or_below_the_limit(void **state)
{
    (void)state;
    layer_end_pages(held.pages);
    config.purge_limit = 10 * config.page_size;
    held = (struct holder){.pages = layer_pages(&config)};
    take(31, 1);
    for (size_t i = 0; i < 10; i++) {
        holder_give(&held, 0);
        pages_purge_due(held.pages);
    }
    assert_int_equal(counted(&held.pages->counters.purges), 0);
    holder_give(&held, 0);
    assert_true(held.pages->purge_due);
    pages_purge_due(held.pages);
    assert_int_equal(counted(&held.pages->counters.purges), 1);
    assert_true(counted(&held.pages->counters.dirty) <= 5 * config.page_size);
    assert_false(held.pages->purge_due);
    layer_check_pages(held.pages);
}

static void one_batch_has_an_end(void **state)
{
    (void)state;
    layer_end_pages(held.pages);
    config.purge_limit = 0;
    held = (struct holder){.pages = layer_pages(&config)};
    size_t count = 3 * PURGE_BATCH_BYTES_MAX / config.page_size;
    count = count < HELD_MAX - 1 ? count : HELD_MAX - 1;
    take(count, 2);
    holder_give_all(&held);
    uint64_t dirty = counted(&held.pages->counters.dirty);
    pages_purge_due(held.pages);
    uint64_t given = dirty - counted(&held.pages->counters.dirty);
    assert_true(given >= (dirty < PURGE_BATCH_BYTES_MAX ? dirty : PURGE_BATCH_BYTES_MAX));
    assert_true(given <= PURGE_BATCH_BYTES_MAX + CHUNK_PAGES * config.page_size);
    while (counted(&held.pages->counters.dirty) > 0) {
        assert_true(held.pages->purge_due);
        pages_purge_due(held.pages);
    }
    layer_check_pages(held.pages);
}

static void the_longest_dirty_goes_first(void **state)
{
    (void)state;
    layer_end_pages(held.pages);
    config.purge_limit = 40 * config.page_size;
    held = (struct holder){.pages = layer_pages(&config)};
    assert_int_equal(holder_take(&held, 1), 0); /* while too little is live to populate ahead */
    assert_int_equal(holder_take_large(&held, 21, 1), 0);
    assert_int_equal(holder_take_large(&held, 19, 1), 0);
    char *youngest = run_start(held.pages, held.runs[0].run);
    char *oldest = run_start(held.pages, held.runs[1].run);
    char *younger = run_start(held.pages, held.runs[2].run);
    holder_give(&held, 1);
    holder_give(&held, 1);
    holder_give(&held, 0);
    pages_purge_due(held.pages);
    assert_false(view_is_resident(oldest));
    assert_true(view_is_resident(younger) && view_is_resident(youngest));
    layer_check_pages(held.pages);
}

/* ---- what goes wrong ---- */

static void what_the_kernel_would_not_take_stays_dirty(void **state)
{
    (void)state;
    take(40, 2);
    assert_int_equal(holder_take_large(&held, 9, 1), 0);
    holder_give_all(&held);
    uint64_t dirty = counted(&held.pages->counters.dirty);
    os_faults.change_results = true;
    os_faults.result = OS_RESIDENT;
    assert_int_equal(pages_purge(held.pages), 0);
    assert_int_equal(counted(&held.pages->counters.dirty), dirty);
    assert_true(counted(&held.pages->counters.purge_failures) > 0);
    layer_check_pages(held.pages);
    os_faults.change_every = 2;
    assert_true(pages_purge(held.pages) > 0);
    layer_check_pages(held.pages);
    os_faults.change_results = false;
    (void)pages_purge(held.pages);
    assert_int_equal(counted(&held.pages->counters.dirty), 0);
    layer_check_pages(held.pages);
}

static void a_kernel_that_refuses_is_not_asked_at_each_free(void **state)
{
    (void)state;
    layer_end_pages(held.pages);
    config.purge_limit = 10 * config.page_size;
    held = (struct holder){.pages = layer_pages(&config)};
    os_faults.change_results = true;
    os_faults.result = OS_RESIDENT;
    take(200, 1);
    for (size_t i = 0; i < 200; i++) {
        holder_give(&held, 0);
        pages_purge_due(held.pages);
    }
    assert_true(os_faults.count[CALL_PURGE] > 0 && os_faults.count[CALL_PURGE] < 20);
    os_faults.change_results = false;
    (void)pages_purge(held.pages);
    assert_int_equal(counted(&held.pages->counters.dirty), 0);
    layer_check_pages(held.pages);
}

static void a_lock_that_does_not_come_back_closes_the_pages(void **state)
{
    (void)state;
    for (int closable = 0; closable < 2; closable++) {
        take(30, 2);
        assert_int_equal(holder_take_large(&held, 9, 1), 0);
        holder_give_all(&held);
        uint64_t dirty = counted(&held.pages->counters.dirty);
        assert_true(dirty >= 69 * config.page_size);
        os_faults.change_results = true;
        os_faults.result = OS_UNLOCKED;
        os_faults.only = 1u << CALL_CLOSE;
        os_faults_fail(closable != 0 ? 0 : 1, true);
        (void)pages_purge(held.pages);
        os_faults_fail(0, false);
        os_faults.change_results = false;
        assert_true(counted(&held.pages->counters.relock_failures) > 0);
        assert_int_equal(held.pages->unlocked_free, closable != 0 ? 0 : dirty / config.page_size);
        layer_check_pages(held.pages);
        /* They are given to nobody before they are locked again. */
        take(60, 2);
        assert_int_equal(holder_take_large(&held, 9, 1), 0);
        layer_check_pages(held.pages);
        holder_give_all(&held);
        (void)pages_purge(held.pages);
        (void)pages_release(held.pages, UINT64_MAX);
        assert_int_equal(held.pages->unlocked_free, 0);
        layer_check_pages(held.pages);
    }
}

/* ---- while a batch is out ---- */

static void take_meanwhile(void *context)
{
    size_t count = *(size_t *)context;
    struct holder *other = calloc(1, sizeof(*other));
    other->pages = held.pages;
    while (other->count < HELD_MAX - 1) {
        if (holder_take(other, count) != 0) {
            break;
        }
    }
    layer_check_books(held.pages);
    memcpy(&held, other, sizeof(held));
    free(other);
}

static void in_a_thread(void *context)
{
    os_faults.during_purge = NULL; /* once */
    layer_in_thread(take_meanwhile, context);
}

/* Their records would be discarded under whoever takes them. */
static void runs_taken_while_a_batch_is_out_keep_their_records(void **state)
{
    (void)state;
    for (size_t count = 1; count <= RUN_PAGES_MAX; count++) {
        struct holder rest = {.pages = held.pages};
        take(300 / count, count);
        /* Some clean, some dirty, some live in each chunk. */
        for (size_t i = 0; i < held.count; i += 3) {
            holder_give(&held, i);
        }
        (void)pages_purge(held.pages);
        for (size_t i = 0; i < held.count; i += 2) {
            holder_give(&held, i);
        }
        memcpy(&rest, &held, sizeof(rest));
        os_faults.during_purge = in_a_thread;
        os_faults.during_purge_context = &count;
        (void)pages_purge(held.pages);
        for (size_t i = 0; i < held.count; i++) {
            holder_check_mark(&held, &held.runs[i], count);
        }
        holder_give_all(&held);
        memcpy(&held, &rest, sizeof(held));
        holder_give_all(&held);
        (void)pages_purge(held.pages);
        layer_check_pages(held.pages);
    }
}

static void *purge_for_ever(void *context)
{
    _Atomic bool *stop = context;
    while (!atomic_load(stop)) {
        (void)pages_purge(held.pages);
    }
    return NULL;
}

static void two_threads_take_and_purge(void **state)
{
    (void)state;
    _Atomic bool stop = false;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, purge_for_ever, &stop), 0);
    model_begin(77);
    for (model.step = 1; model.step <= 3000; model.step++) {
        if (model_below(2) == 0 && held.count < HELD_MAX - 1) {
            assert_int_equal(holder_take(&held, 1 + model_below(RUN_PAGES_MAX)), 0);
        } else if (held.count > 0) {
            holder_give(&held, model_below((uint32_t)held.count));
        }
        if (model.step % 16 == 0) {
            pages_validate(held.pages);
            (void)pages_release(held.pages, 4 * config.page_size);
        }
    }
    model_end();
    atomic_store(&stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    holder_give_all(&held);
    layer_check_pages(held.pages);
}

/* With the whole budget in a batch, an allocation waits and does not fail. */
static pthread_t waiting;

static void *take_one(void *context)
{
    (void)context;
    struct run run;
    return layer_take(held.pages, 4, &run) == 0 ? &held : NULL;
}

static void start_taking(void *context)
{
    (void)context;
    os_faults.during_purge = NULL;
    REQUIRE(pthread_create(&waiting, NULL, take_one, NULL) == 0);
    usleep(20000); /* time enough to fail, had it not to wait */
}

static void an_allocation_waits_for_the_batch_that_has_its_pages(void **state)
{
    (void)state;
    layer_end_pages(held.pages);
    config.lock_limit = 16 * config.page_size;
    held = (struct holder){.pages = layer_pages(&config)};
    while (holder_take(&held, 4) == 0) {
    }
    holder_give_all(&held);
    os_faults.during_purge = start_taking;
    (void)pages_purge(held.pages);
    void *result = NULL;
    assert_int_equal(pthread_join(waiting, &result), 0);
    assert_non_null(result);
    layer_check_pages(held.pages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(purged_pages_are_not_resident_but_locked, fresh, end),
        cmocka_unit_test_setup_teardown(bookkeeping_of_free_pages_goes_with_them, fresh, end),
        cmocka_unit_test_setup_teardown(pages_of_bookkeeping_that_lie_together_are_one_range, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(bookkeeping_that_speaks_of_a_live_page_stays, fresh, end),
        cmocka_unit_test_setup_teardown(nothing_happens_at_or_below_the_limit, fresh, end),
        cmocka_unit_test_setup_teardown(one_batch_has_an_end, fresh, end),
        cmocka_unit_test_setup_teardown(the_longest_dirty_goes_first, fresh, end),
        cmocka_unit_test_setup_teardown(what_the_kernel_would_not_take_stays_dirty, fresh, end),
        cmocka_unit_test_setup_teardown(a_kernel_that_refuses_is_not_asked_at_each_free, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(a_lock_that_does_not_come_back_closes_the_pages, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(runs_taken_while_a_batch_is_out_keep_their_records, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(two_threads_take_and_purge, fresh, end),
        cmocka_unit_test_setup_teardown(an_allocation_waits_for_the_batch_that_has_its_pages, fresh,
                                        end),
    };
    return layer_run(tests);
}
