/* SPDX-License-Identifier: ISC */
/* Every call to the system fails once, and every one from some point on: nothing may be left half
 * done, and a second try succeeds. */
#include <errno.h>

#include "pages/pages.h"
#include "unit/expect.h"
#include "unit/layer.h"
#include "unit/pages_model.h"

static struct holder held;

/* Under one failure, an operation works all the same or says -ENOMEM, and works the next time. */
static void must(int error, int (*operation)(size_t), size_t argument)
{
    layer_check_books(held.pages);
    if (error != 0) {
        assert_int_equal(error, os_faults.error != 0 ? os_faults.error : -ENOMEM);
        os_faults_fail(0, false);
        assert_int_equal(operation(argument), 0);
        layer_check_books(held.pages);
    }
}

static int take(size_t count)
{
    return holder_take(&held, count);
}

static int take_large(size_t count)
{
    return holder_take_large(&held, count, count % 2 == 0 ? 1 : 65536);
}

static int resize_last(size_t count)
{
    return holder_resize(&held, held.count - 1, count);
}

static int reserve(size_t count)
{
    return pages_reserve(held.pages, pages_bytes(held.pages, count));
}

static void workload(void)
{
    for (size_t i = 0; i < 24; i++) {
        must(take(1 + i % 5), take, 1 + i % 5);
    }
    must(reserve(50), reserve, 50);
    for (size_t i = 0; i < 6; i++) {
        must(take_large(9 + i), take_large, 9 + i);
    }
    /* Not to be had in place is no failure: the heap moves the buffer. */
    (void)resize_last(20);
    must(resize_last(5), resize_last, 5);
    for (size_t i = 0; i < 10; i++) {
        holder_give(&held, i);
        layer_check_books(held.pages);
    }
    (void)pages_purge(held.pages);
    (void)pages_release(held.pages, UINT64_MAX);
    layer_check_books(held.pages);
    must(take(8), take, 8);
    must(take_large(300), take_large, 300);
    holder_give_all(&held);
    layer_check_books(held.pages);
}

static void end(void)
{
    os_faults_fail(0, false);
    (void)pages_purge(held.pages);
    (void)pages_release(held.pages, UINT64_MAX);
    assert_int_equal(counter_read(&held.pages->counters.locked), 0);
    assert_int_equal(counter_read(&held.pages->counters.live), 0);
    assert_int_equal(held.pages->unlocked_free, 0);
    layer_check_pages(held.pages);
    layer_end_pages(held.pages);
}

/* Fails the calls one after the other, until there are no more. */
static void fail_each(const struct pages_config *config, uint32_t only, int error, bool no_guards)
{
    unsigned long failed = 1;
    unsigned long at = 0;
    while (failed > 0) {
        held = (struct holder){.pages = layer_pages(config)};
        os_faults.only = only;
        os_faults.error = error;
        os_faults.no_guards = no_guards;
        os_faults_fail(++at, false);
        workload();
        failed = os_faults.fail_at != 0 ? os_faults.failed : 1;
        end();
    }
    assert_true(at > 3);
}

static void any_call_may_fail_once(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    fail_each(&config, 0, 0, false);
    fail_each(&config, 0, 0, true);
}

static void any_lock_may_be_forbidden_once(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    fail_each(&config, 1u << CALL_LOCK, -EPERM, false);
}

static void any_call_may_fail_once_under_best_effort(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    config.best_effort = true;
    fail_each(&config, 0, 0, false);
}

static void any_call_may_fail_once_within_a_lock_limit(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    config.lock_limit = 420 * config.page_size;
    fail_each(&config, 0, 0, false);
}

/* ---- from some point on, everything fails ---- */

static void try_everything(void)
{
    struct run run;
    for (size_t i = 0; i < 30 && held.count < HELD_MAX - 2; i++) {
        (void)take(1 + i % 8);
        (void)take_large(1 + i * 3);
    }
    layer_check_books(held.pages);
    for (size_t i = 0; i < held.count; i++) {
        if (held.runs[i].large) {
            (void)holder_resize(&held, i, 1 + (i * 7) % 30);
        }
    }
    layer_check_books(held.pages);
    for (size_t i = 0; i < held.count; i += 2) {
        holder_give(&held, i);
    }
    pages_purge_due(held.pages);
    (void)pages_purge(held.pages);
    (void)pages_release(held.pages, UINT64_MAX);
    (void)pages_reserve(held.pages, 1000000);
    layer_check_books(held.pages);
    if (layer_take(held.pages, 3, &run) == 0) {
        pages_give(held.pages, run);
    }
}

static void all_calls_may_fail_from_some_point_on(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    for (unsigned long at = 1; at < 200; at += 1 + at / 10) {
        config.best_effort = at % 3 == 0;
        held = (struct holder){.pages = layer_pages(&config)};
        os_faults_fail(at, true);
        try_everything();
        os_faults_fail(0, false);
        assert_int_equal(take(8), 0);
        assert_int_equal(take_large(8), 0);
        holder_give_all(&held);
        end();
    }
}

/* ---- purges that the kernel refuses, or whose lock does not come back ---- */

static void purges_may_go_wrong_at_any_time(void **state)
{
    (void)state;
    struct pages_config config = layer_pages_config();
    const enum os_purge_result results[] = {OS_RESIDENT, OS_UNLOCKED};
    config.purge_limit = 0;
    for (uint64_t seed = 41; seed <= 52; seed++) {
        model_begin(seed);
        held = (struct holder){.pages = layer_pages(&config)};
        os_faults.change_results = true;
        os_faults.result = results[seed % 2];
        os_faults.change_every = 1 + (unsigned)seed % 3;
        os_faults.only = 1u << CALL_CLOSE;
        for (model.step = 1; model.step <= 300; model.step++) {
            uint32_t what = model_below(10);
            os_faults_fail(model_below(2), true);
            if (what < 5 && held.count < HELD_MAX) {
                assert_int_equal(
                    what % 2 == 0 ? take(1 + model_below(8)) : take_large(1 + model_below(8)), 0);
            } else if (held.count > 0) {
                holder_give(&held, model_below((uint32_t)held.count));
                pages_purge_due(held.pages);
            }
            layer_check_books(held.pages);
        }
        holder_give_all(&held);
        os_faults.change_results = false;
        end();
        model_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_call_may_fail_once),
        cmocka_unit_test(any_lock_may_be_forbidden_once),
        cmocka_unit_test(any_call_may_fail_once_under_best_effort),
        cmocka_unit_test(any_call_may_fail_once_within_a_lock_limit),
        cmocka_unit_test(all_calls_may_fail_from_some_point_on),
        cmocka_unit_test_teardown(purges_may_go_wrong_at_any_time, model_teardown),
    };
    return layer_run(tests);
}
