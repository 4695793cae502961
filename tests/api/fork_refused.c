/* SPDX-License-Identifier: ISC */
/* Locks are not inherited, and a child that may not lock again must not have the secrets. */
#include <errno.h>
#include <secure_malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/child.h"
#include "api/fork.h"
#include "api/look.h"
#include "api/secret.h"
#include "api/well.h"
#include "support/limits.h"
#include "support/skip.h"

static const char GONE[] =
    "secure_malloc: memory could not be locked again after fork: the child's "
    "secrets are gone, and a use of them faults\n";

struct lost {
    char *small, *large, *guarded;
};

static struct lost take_and_lower_the_limit(uint32_t on_fork, uint32_t on_lock_failure)
{
    if (geteuid() == 0) {
        CHECK(limits_become_nobody() == 0);
    }
    init_on_fork(on_fork, on_lock_failure);
    secret_make();
    const struct lost lost = {secure_malloc(SECRET_SIZE), secure_malloc(20000),
                              secure_malloc_guarded(SECRET_SIZE)};
    CHECK(lost.small != NULL && lost.large != NULL && lost.guarded != NULL);
    secret_write(lost.small);
    secret_write(lost.large);
    secret_write(lost.guarded);
    CHECK(limits_set_memlock(page_size()) == 0);
    return lost;
}

static void lose_all_and_go_on(void *context)
{
    const struct lost *lost = context;
    CHECK_EQUAL(secret_count(), 0);
    check_well();
    CHECK(stats_now().relock_failures > 0);
    CHECK_EQUAL(stats_now().live_count, 0);
    secure_free(lost->small); /* does nothing */
    secure_free_sized(lost->large, 20000);
    secure_free(lost->guarded);
    char *one = secure_malloc(32); /* there is room for a page */
    CHECK(one != NULL);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 0);
    CHECK_FAILS(secure_malloc(20000), NULL, ENOMEM);
    secure_free(one);
}

static void fork_and_lose(void *context)
{
    (void)context;
    struct lost lost = take_and_lower_the_limit(SECURE_FORK_KEEP, SECURE_LOCK_FAIL);
    in_fork(lose_all_and_go_on, &lost);
    CHECK(secret_is_at(lost.small) && secret_is_at(lost.large) && secret_is_at(lost.guarded));
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 0); /* what the parent has is locked */
    CHECK_EQUAL(stats_now().relock_failures, 0);
}

static void check_said(child_body *body, const char *said)
{
    struct child_end end;
    child_run(&end, body, NULL);
    assert_string_equal(end.text, said);
    assert_int_equal(end.signal, 0);
    assert_int_equal(end.exit_status, CHILD_RETURNED);
}

static void a_child_that_cannot_lock_loses_the_secrets_and_says_so(void **state)
{
    (void)state;
    check_said(fork_and_lose, GONE);
}

static void use_what_is_lost(void *context)
{
    char *const *pointer = context;
    (void)**(volatile char *const *)pointer;
}

static void fork_and_use(void *context)
{
    (void)context;
    struct lost lost = take_and_lower_the_limit(SECURE_FORK_KEEP, SECURE_LOCK_FAIL);
    char *const all[] = {lost.small, lost.large, lost.guarded};
    for (int i = 0; i < 3; i++) {
        const pid_t child = fork();
        if (child == 0) {
            use_what_is_lost((void *)(uintptr_t)&all[i]);
            child_exit(9); /* a key that reads as zeros */
        }
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    }
}

static void use_of_a_lost_secret_faults(void **state)
{
    char three[3 * sizeof(GONE)];
    (void)state;
    snprintf(three, sizeof(three), "%s%s%s", GONE, GONE, GONE);
    check_said(fork_and_use, three);
}

/* ---- the other ways ---- */

static void keep_all_unlocked(void *context)
{
    const struct lost *lost = context;
    CHECK(secret_is_at(lost->small) && secret_is_at(lost->large) && secret_is_at(lost->guarded));
    CHECK(stats_now().relock_failures > 0);
    CHECK(stats_now().unlocked_bytes > 0);
    CHECK(audit_now().unlocked_live_bytes > 0);
    check_well_but_unlocked();
    secure_free(lost->small);
    secure_free(lost->large);
    secure_free(lost->guarded);
    use_heap(5000);
    check_well_but_unlocked();
}

static void fork_with_best_effort(void *context)
{
    (void)context;
    struct lost lost = take_and_lower_the_limit(SECURE_FORK_KEEP, SECURE_LOCK_BEST_EFFORT);
    in_fork(keep_all_unlocked, &lost);
    CHECK_EQUAL(stats_now().unlocked_bytes, 0);
}

/* It may say so, once. */
static void best_effort_keeps_the_secrets_and_counts(void **state)
{
    struct child_end end;
    (void)state;
    child_run(&end, fork_with_best_effort, NULL);
    const char once[] = "secure_malloc: memory could not be locked; it is used unlocked "
                        "(on_lock_failure=best-effort)\n";
    assert_true(end.text[0] == '\0' || strcmp(end.text, once) == 0);
    assert_int_equal(end.signal, 0);
    assert_int_equal(end.exit_status, CHILD_RETURNED);
}

/* A drop needs no lock, and so nothing to say. */
static void have_nothing(void *context)
{
    const struct lost *lost = context;
    CHECK_EQUAL(secret_count(), 0);
    CHECK_EQUAL(stats_now().relock_failures, 0);
    secure_free(lost->small);
    secure_free(lost->large);
    check_well();
}

static void drop_needs_no_lock(void *context)
{
    (void)context;
    struct lost lost = take_and_lower_the_limit(SECURE_FORK_DROP, SECURE_LOCK_FAIL);
    in_fork(have_nothing, &lost);
}

int fork_refused(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_that_cannot_lock_loses_the_secrets_and_says_so),
        cmocka_unit_test(use_of_a_lost_secret_faults),
        cmocka_unit_test(best_effort_keeps_the_secrets_and_counts),
        IN_CHILD(drop_needs_no_lock),
    };
    return cmocka_run_group_tests_name("refused", tests, NULL, NULL);
}
