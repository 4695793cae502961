/* SPDX-License-Identifier: ISC */
/* on_fork=wipe: the child sees zeros. */
#include <errno.h>
#include <secure_malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/child.h"
#include "api/churn.h"
#include "api/fork.h"
#include "api/look.h"
#include "api/secret.h"
#include "api/well.h"

static void see_zeros_and_go_on(void *context)
{
    const struct sorts *sorts = context;
    sorts_check_zero(sorts);
    check_well();
    use_heap(fork_use_size());
    sorts_give(sorts);
    use_heap(fork_use_size());
    check_well();
}

static void wipe_leaves_zeros_that_can_be_freed(void *context)
{
    struct sorts sorts;
    (void)context;
    child_needs_to_lock(256);
    init_on_fork(SECURE_FORK_WIPE, SECURE_LOCK_FAIL);
    sorts_take(&sorts);
    for (int i = 0; i < 3; i++) {
        in_fork(see_zeros_and_go_on, &sorts);
        sorts_check(&sorts);
        use_heap(fork_use_size());
    }
    sorts_give(&sorts);
    check_well();
}

static void fork_again_under_wipe(void *context)
{
    in_fork(see_zeros_and_go_on, context);
    char *mine = secure_malloc(32);
    memset(mine, 1, 32);
    in_fork(see_zeros_and_go_on, context);
    CHECK(mine[0] == 1 && mine[31] == 1);
    see_zeros_and_go_on(context);
    secure_free_sized(mine, 32);
}

static void wipe_holds_for_a_childs_child(void *context)
{
    struct sorts sorts;
    (void)context;
    child_needs_to_lock(256);
    init_on_fork(SECURE_FORK_WIPE, SECURE_LOCK_FAIL);
    sorts_take(&sorts);
    in_fork(fork_again_under_wipe, &sorts);
    sorts_check(&sorts);
}

static void find_no_secret(void *context)
{
    (void)context;
    CHECK_EQUAL(secret_count(), 0);
}

static void wipe_and_drop_leave_no_secret(void *context)
{
    const uint32_t *on_fork = context;
    child_needs_to_lock(256);
    init_on_fork(*on_fork, SECURE_LOCK_FAIL);
    secret_make();
    char *small = secure_malloc(SECRET_SIZE);
    char *large = secure_malloc(100000);
    char *guarded = secure_malloc_guarded(SECRET_SIZE);
    secret_write(small);
    secret_write(large + 50000);
    secret_write(guarded);
    CHECK(secure_protect(guarded, SECURE_NO_ACCESS) == 0);
    CHECK_EQUAL(secret_count(), 3);
    in_fork(find_no_secret, NULL);
    CHECK_EQUAL(secret_count(), 3);
}

static void child_has_no_secret(void **state)
{
    uint32_t wipe = SECURE_FORK_WIPE;
    uint32_t drop = SECURE_FORK_DROP;
    (void)state;
    child_must_survive(__func__, wipe_and_drop_leave_no_secret, &wipe);
    child_must_survive(__func__, wipe_and_drop_leave_no_secret, &drop);
}

/* A closed buffer stays closed, and is zero when it is opened. */
static void open_what_was_wiped(void *context)
{
    char *guarded = context;
    CHECK(memcmp(look_at(guarded).access, "---p", 4) == 0);
    CHECK(secure_protect(guarded, SECURE_READ_WRITE) == 0);
    for (int i = 0; i < 100; i++) {
        CHECK(guarded[i] == 0);
    }
    secure_free_sized(guarded, 100);
    check_well();
}

static void wipe_keeps_protection(void *context)
{
    (void)context;
    init_on_fork(SECURE_FORK_WIPE, SECURE_LOCK_FAIL);
    char *guarded = secure_malloc_guarded(100);
    memset(guarded, 1, 100);
    CHECK(secure_protect(guarded, SECURE_NO_ACCESS) == 0);
    in_fork(open_what_was_wiped, guarded);
}

/* That a wiped canary is fine must not make a damaged one so. */
static void overflow_in_a_wiped_child(void *context)
{
    (void)context;
    init_on_fork(SECURE_FORK_WIPE, SECURE_LOCK_FAIL);
    char *old = unknown(secure_malloc(32));
    const pid_t child = fork();
    if (child != 0) { /* what is looked at is the child; the parent says nothing */
        CHECK(waitpid(child, NULL, 0) == child);
        child_exit(0);
    }
    char *fresh = unknown(secure_malloc(32));
    secure_free(old);
    fresh[32] ^= 1;
    secure_free(fresh);
}

static void wiped_child_still_sees_overflows(void **state)
{
    struct child_end end;
    (void)state;
    child_run(&end, overflow_in_a_wiped_child, NULL);
    assert_true(child_said(&end, "secure_malloc: fatal: buffer overflow: pointer 0x"));
}

static void guards_are_back(void *context)
{
    (void)context;
    CHECK_EQUAL(stats_now().guards, 1);
    /* A slab region's guard is the last page of every 32: reading one faults. */
    char *small = secure_malloc(32);
    const uintptr_t first = (uintptr_t)small / page_size() * page_size();
    int faults = 0;
    for (uintptr_t page = first; page < first + 32 * page_size(); page += page_size()) {
        int pipes[2];
        CHECK(pipe(pipes) == 0);
        faults += write(pipes[1], (const void *)page, 1) < 0 && errno == EFAULT;
        close(pipes[0]);
        close(pipes[1]);
    }
    CHECK(faults >= 1);
}

/* MADV_WIPEONFORK takes the guards away in the child; the library puts them back. */
static void wipe_keeps_guards(void *context)
{
    static char *all[4000];
    (void)context;
    child_needs_to_lock(1024);
    init_on_fork(SECURE_FORK_WIPE, SECURE_LOCK_FAIL);
    for (int i = 0; i < 4000; i++) { /* more than 32 pages are open */
        all[i] = secure_malloc(100);
        CHECK(all[i] != NULL);
    }
    if (stats_now().guards == 0) {
        child_skip("this kernel has no guard pages");
    }
    guards_are_back(NULL);
    in_fork(guards_are_back, NULL);
}

static void work_after_wipe(void *context)
{
    const struct sorts *sorts = context;
    sorts_check_zero(sorts);
    check_well();
    sorts_give(sorts);
    use_heap(fork_use_size());
    check_well();
}

static void wipe_while_threads_allocate(void *context)
{
    (void)context;
    fork_under_load(SECURE_FORK_WIPE, work_after_wipe);
}

int fork_wipe(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(wipe_leaves_zeros_that_can_be_freed),
        IN_CHILD(wipe_holds_for_a_childs_child),
        cmocka_unit_test(child_has_no_secret),
        IN_CHILD(wipe_keeps_protection),
        cmocka_unit_test(wiped_child_still_sees_overflows),
        IN_CHILD(wipe_keeps_guards),
        IN_CHILD(wipe_while_threads_allocate),
    };
    return cmocka_run_group_tests_name("wipe", tests, NULL, NULL);
}
