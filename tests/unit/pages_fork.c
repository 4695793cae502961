/* SPDX-License-Identifier: ISC */
/* The pages layer in a forked child; the heap's part is in heap_fork.c. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/check.h"
#include "pages/extents_list.h"
#include "pages/pages.h"
#include "unit/expect.h"
#include "unit/fresh_pages.h"
#include "unit/layer.h"
#include "unit/os_view.h"

enum { SMALL = 160, LARGE = 6 };

static struct run small[SMALL];
static struct run large[LARGE];

/* Runs of every state: live, dirty, clean, closed; guards among them. */
static void fill(void)
{
    for (size_t i = 0; i < SMALL; i++) {
        assert_int_equal(layer_take(pages, 1 + i % 3, &small[i]), 0);
    }
    for (size_t i = 0; i < LARGE; i++) {
        assert_int_equal(layer_take_large(pages, 2 + i, 1, &large[i]), 0);
    }
    for (size_t i = 10; i < 20; i++) {
        pages_give(pages, small[i]);
    }
    pages_give_large(pages, large[4]);
    (void)pages_purge(pages);
    for (size_t i = 30; i < 50; i++) {
        pages_give(pages, small[i]);
    }
    pages_give_large(pages, large[2]);
    memset(run_start(pages, small[0]), 's', config.page_size);
    memset(run_start(pages, large[0]), 'l', config.page_size);
    layer_check_pages(pages);
}

static enum os_access all_open(const struct region *region, size_t page)
{
    (void)region;
    (void)page;
    return OS_READ_WRITE;
}

static void in_child(child_body *body, void *context)
{
    pages_quiesce(pages);
    expect_child(body, context);
    pages_resume(pages);
}

static void use(void)
{
    struct run run;
    for (size_t i = 0; i < 20; i++) {
        EXPECT(layer_take(pages, 3, &run) == 0);
        memset(run_start(pages, run), 1, pages_bytes(pages, 3));
        EXPECT(layer_take_large(pages, 3, 1, &run) == 0);
        memset(run_start(pages, run), 1, pages_bytes(pages, 3));
    }
    layer_check_books(pages);
}

/* ---- relock ---- */

static void relock_in_child(void *context)
{
    (void)context;
    pages_resume(pages);
    if (!os_faults.pretend_locks) {
        EXPECT(view_charged() == 0);
    }
    EXPECT(pages_relock(pages, all_open) == 0);
    layer_check_pages(pages);
    EXPECT(view_is_all(run_start(pages, small[0]), config.page_size, 's'));
    EXPECT(view_is_all(run_start(pages, large[0]), config.page_size, 'l'));
    (void)pages_purge(pages);
    (void)pages_release(pages, UINT64_MAX);
    layer_check_pages(pages);
    use();
}

static void a_child_locks_exactly_what_was_locked(void **state)
{
    (void)state;
    fill();
    in_child(relock_in_child, NULL);
    layer_check_pages(pages);
}

/* Every lock of the child fails in turn. Under best effort, each stretch that could not be locked
 * is used as it is where it is live, and closed where it is free. */
static void relock_with_a_failure(void *context)
{
    unsigned long at = *(unsigned long *)context;
    pages_resume(pages);
    pages->config.best_effort = true;
    os_faults.only = 1u << CALL_RELOCK;
    os_faults_fail(at > 0 ? at : 1, at == 0);
    EXPECT(pages_relock(pages, all_open) == 0);
    bool all_failed = at == 0;
    os_faults_fail(0, false);
    layer_check_pages(pages);
    EXPECT(!all_failed || counter_read(&pages->counters.locked) == 0);
    for (size_t i = 0; i < SMALL; i++) {
        if ((i < 10 || i >= 20) && (i < 30 || i >= 50)) {
            memset(run_start(pages, small[i]), 0, pages_bytes(pages, small[i].count));
            pages_give(pages, small[i]);
        }
    }
    layer_check_pages(pages);
    use();
    (void)pages_purge(pages);
    (void)pages_release(pages, UINT64_MAX);
    layer_check_pages(pages);
}

static void best_effort_survives_each_lock_that_fails(void **state)
{
    (void)state;
    fill();
    for (unsigned long at = 0; at < 12; at++) {
        in_child(relock_with_a_failure, &at);
    }
}

static void relock_refused(void *context)
{
    int error = *(int *)context;
    pages_resume(pages);
    os_faults.only = 1u << CALL_RELOCK;
    os_faults.error = error;
    os_faults_fail(2, true);
    EXPECT(pages_relock(pages, all_open) == error);
}

static void fail_hands_the_refusal_up(void **state)
{
    (void)state;
    int errors[] = {-ENOMEM, -EPERM};
    fill();
    in_child(relock_refused, &errors[0]);
    in_child(relock_refused, &errors[1]);
}

static size_t asked;

static enum os_access count_questions(const struct region *region, size_t page)
{
    asked += region->kind == REGION_LARGE && region->extents[page].state == EXTENT_LIVE;
    return OS_READ_WRITE;
}

static void ask_for_access(void *context)
{
    (void)context;
    pages_resume(pages);
    EXPECT(pages_relock(pages, count_questions) == 0);
    EXPECT(asked == LARGE - 2);
}

static void the_owner_is_asked_about_live_large_runs_alone(void **state)
{
    (void)state;
    fill();
    in_child(ask_for_access, NULL);
}

/* ---- wipe: guards ---- */

static void touch_guard(void *context)
{
    pages_resume(pages);
    if (*(bool *)context) {
        EXPECT(pages_relock(pages, all_open) == 0);
    }
    *(volatile char *)region_page(small[0].region, CHUNK_PAGES - 1, pages->page_shift) = 1;
}

static void guards_come_back_before_the_lock(void **state)
{
    (void)state;
    bool relocked = true;
    layer_end_pages(pages);
    config.fork = OS_FORK_WIPE;
    pages = layer_pages(&config);
    fill();
    if (!pages->guards) {
        skip_test("needs MADV_GUARD_INSTALL (Linux 6.13)");
    }
    pages_quiesce(pages);
    assert_death_with(touch_guard, &relocked, SIGSEGV, NULL);
    relocked = false; /* the kernel drops them: else this test says nothing */
    assert_survives_with(touch_guard, &relocked);
    pages_resume(pages);
}

/* ---- drop ---- */

static void drop_and_use(void *context)
{
    (void)context;
    pages_resume(pages);
    struct region *old = small[0].region;
    uint64_t reserved = counter_read(&pages->counters.reserved);
    pages_drop(pages, true);
    EXPECT(atomic_load(&old->dropped));
    EXPECT(old->entries[small[0].page] == 0);
    EXPECT(counter_read(&pages->counters.reserved) == reserved);
    EXPECT(memcmp(view_of(run_start(pages, small[0])).access, "---p", 4) == 0);
    EXPECT(memcmp(view_of(run_start(pages, large[0])).access, "---p", 4) == 0);
    layer_check_pages(pages);
    use();
    struct run run;
    EXPECT(layer_take(pages, 1, &run) == 0 && run.region != old);
    layer_check_pages(pages);
    uint64_t dirty = counter_read(&pages->counters.dirty);
    EXPECT(pages_purge(pages) == dirty);
    (void)pages_release(pages, UINT64_MAX);
    layer_check_pages(pages);
}

static void a_dropped_layer_is_empty_and_works(void **state)
{
    (void)state;
    const enum os_fork modes[] = {OS_FORK_KEEP, OS_FORK_WIPE, OS_FORK_DROP};
    for (size_t i = 0; i < 3; i++) {
        layer_end_pages(pages);
        config.fork = modes[i];
        pages = layer_pages(&config);
        fill();
        in_child(drop_and_use, NULL);
    }
}

/* A heap that could not be started is dropped by the process that reserved it. */
static void dropping_without_a_fork_gives_the_locks_back(void **state)
{
    (void)state;
    const enum os_fork modes[] = {OS_FORK_KEEP, OS_FORK_WIPE};
    for (size_t i = 0; i < 2; i++) {
        layer_end_pages(pages);
        config.fork = modes[i];
        pages = layer_pages(&config);
        unsigned long charged = view_charged();
        assert_int_equal(pages_reserve(pages, 20 * config.page_size), 0);
        pages_drop(pages, true);
        assert_int_equal(view_charged(), charged);
        assert_int_equal(counter_read(&pages->counters.locked), 0);
        assert_int_equal(layer_open_unlocked(pages), 0);
    }
}

/* ---- after mlockall ---- */

static void unlock_unused_leaves_what_is_in_use_locked(void **state)
{
    (void)state;
    fill();
    if (os_faults.pretend_locks) {
        skip_test("needs 16384 pages of RLIMIT_MEMLOCK");
    }
    /* As mlockall would: everything of ours. */
    for (struct region *r = atomic_load(&pages->regions); r != NULL; r = atomic_load(&r->next)) {
        char *start = (char *)r;
        assert_int_equal(
            os_pages_lock(start, r->base - (uintptr_t)start + pages_bytes(pages, r->count)), 0);
    }
    struct bookkeeping_reservation *first = pages->bookkeeping.reservations;
    assert_int_equal(os_pages_lock(first, config.page_size), 0);
    pages_unlock_unused(pages);
    layer_check_pages(pages);
    assert_false(view_is_locked(small[0].region));
    assert_false(view_is_locked(first));
    use();
}

/* ---- mutexes ---- */

static void *try_to_give(void *context)
{
    struct run *run = context;
    pages_give(pages, *run);
    return NULL;
}

static void prepare_keeps_others_out_and_parent_lets_them_in(void **state)
{
    (void)state;
    struct run run;
    pthread_t thread;
    assert_int_equal(layer_take(pages, 1, &run), 0);
    pages_quiesce(pages);
    assert_false(mutex_try_lock(&pages->mutex));
    assert_false(mutex_try_lock(&pages->purge_mutex));
    assert_false(mutex_try_lock(&pages->bookkeeping.mutex));
    assert_int_equal(pthread_create(&thread, NULL, try_to_give, &run), 0);
    usleep(1000);
    assert_true(counter_read(&pages->counters.live) > 0);
    pages_resume(pages);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(counter_read(&pages->counters.live), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_child_locks_exactly_what_was_locked, fresh, end),
        cmocka_unit_test_setup_teardown(best_effort_survives_each_lock_that_fails, fresh, end),
        cmocka_unit_test_setup_teardown(fail_hands_the_refusal_up, fresh, end),
        cmocka_unit_test_setup_teardown(the_owner_is_asked_about_live_large_runs_alone, fresh, end),
        cmocka_unit_test_setup_teardown(guards_come_back_before_the_lock, fresh, end),
        cmocka_unit_test_setup_teardown(a_dropped_layer_is_empty_and_works, fresh, end),
        cmocka_unit_test_setup_teardown(dropping_without_a_fork_gives_the_locks_back, fresh, end),
        cmocka_unit_test_setup_teardown(unlock_unused_leaves_what_is_in_use_locked, fresh, end),
        cmocka_unit_test_setup_teardown(prepare_keeps_others_out_and_parent_lets_them_in, fresh,
                                        end),
    };
    return layer_run(tests);
}
