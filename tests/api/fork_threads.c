/* SPDX-License-Identifier: ISC */
/* Forks while threads are at work, in the middle of anything; and what a child finds of theirs. */
#include <pthread.h>
#include <sched.h>
#include <secure_malloc.h>
#include <stdatomic.h>

#include "api/child.h"
#include "api/churn.h"
#include "api/fork.h"
#include "api/well.h"

/* ---- what the child frees is free once ---- */

enum { FREED = 300 };

static void check_apart(char *const *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK_EQUAL(all[i][0], (char)i);
        CHECK_EQUAL(all[i][31], (char)(i >> 8));
    }
}

static void take_apart(char **all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        all[i] = secure_malloc(32);
        CHECK(all[i] != NULL);
        all[i][0] = (char)i;
        all[i][31] = (char)(i >> 8);
    }
}

/* Asking looks for what other threads' caches held; what the child itself has freed is not that. */
static void free_then_ask(void *context)
{
    char **inherited = context;
    secure_free(inherited[0]);
    check_well();
    secure_free(inherited[1]);
    (void)secure_purge();
    secure_free(inherited[2]);
    (void)secure_trim();
    char *mine[FREED];
    take_apart(mine, FREED);
    check_apart(mine, FREED);
    check_well();
}

static void what_the_child_freed_is_handed_out_once(void *context)
{
    char *all[FREED];
    (void)context;
    take_apart(all, FREED);
    in_fork(free_then_ask, all);
    check_apart(all, FREED);
}

static atomic_bool has_begun;

static void *free_half(void *context)
{
    char **all = context;
    for (size_t i = 0; i < FREED; i += 2) {
        secure_free(all[i]);
        atomic_store(&has_begun, i >= 10);
    }
    return NULL;
}

static void free_in_two_threads(void *context)
{
    char **inherited = context;
    char *mine[FREED];
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, free_half, inherited) == 0);
    while (!atomic_load(&has_begun)) {
        sched_yield();
    }
    take_apart(mine, FREED);
    free_half(inherited + 1);
    pthread_join(thread, NULL);
    check_apart(mine, FREED);
    char *more[FREED];
    take_apart(more, FREED);
    check_apart(mine, FREED);
    check_apart(more, FREED);
    check_well();
}

/* The child has threads of its own before it has first looked for lost slots. */
static void threads_of_the_child_free_what_it_inherited(void *context)
{
    char *all[FREED];
    (void)context;
    take_apart(all, FREED);
    for (int i = 0; i < 20; i++) {
        in_fork(free_in_two_threads, all);
    }
    check_apart(all, FREED);
}

/* ---- threads ---- */

enum { FORKS = 25 };

static void work_in_a_child_of_threads(void *context)
{
    const struct sorts *sorts = context;
    sorts_check(sorts);
    check_well();
    use_heap(fork_use_size());
    sorts_give(sorts);
    (void)secure_purge();
    use_heap(fork_use_size());
    (void)secure_trim();
    check_well();
}

static void forks_while_threads_allocate_and_free(void *context)
{
    struct sorts sorts;
    (void)context;
    child_needs_to_lock(4096);
    sorts_take(&sorts);
    churn_start(3, false);
    for (int i = 0; i < FORKS; i++) {
        in_fork(work_in_a_child_of_threads, &sorts);
        use_heap(10000);
    }
    CHECK(churn_stop() > 0);
    sorts_check(&sorts);
    sorts_give(&sorts);
    check_well();
    CHECK_EQUAL(stats_now().live_count, 0);
    CHECK_EQUAL(stats_now().forks, FORKS);
}

static void *fork_here(void *context)
{
    in_fork(work_in_a_child_of_threads, context);
    return NULL;
}

/* The child's only thread is then one whose cache was not the first. */
static void a_thread_forks(void *context)
{
    struct sorts sorts;
    pthread_t thread;
    (void)context;
    child_needs_to_lock(4096);
    sorts_take(&sorts);
    churn_start(2, false);
    for (int i = 0; i < 5; i++) {
        CHECK(pthread_create(&thread, NULL, fork_here, &sorts) == 0);
        use_heap(10000);
        pthread_join(thread, NULL);
    }
    CHECK(churn_stop() > 0);
    sorts_give(&sorts);
    check_well();
}

static atomic_bool is_over;

static void *zeroize_on_and_on(void *context)
{
    (void)context;
    while (!atomic_load(&is_over)) {
        secure_zeroize();
    }
    return NULL;
}

/* A zeroize that was under way is ended in the child; its claims hold nobody up. */
static void zeroized_child(void *context)
{
    const struct sorts *sorts = context;
    check_well();
    sorts_check_zero(sorts);
    sorts_give(sorts);
    use_heap(fork_use_size());
    secure_zeroize();
    check_well();
}

static void forks_while_a_thread_zeroizes(void *context)
{
    struct sorts sorts;
    pthread_t thread;
    (void)context;
    child_needs_to_lock(4096);
    sorts_take(&sorts);
    secure_zeroize();
    CHECK(pthread_create(&thread, NULL, zeroize_on_and_on, NULL) == 0);
    churn_start(2, true);
    for (int i = 0; i < FORKS; i++) {
        in_fork(zeroized_child, &sorts);
    }
    CHECK(churn_stop() > 0);
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
    sorts_give(&sorts);
    check_well();
}

int fork_threads(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(what_the_child_freed_is_handed_out_once),
        IN_CHILD(threads_of_the_child_free_what_it_inherited),
        IN_CHILD(forks_while_threads_allocate_and_free),
        IN_CHILD(a_thread_forks),
        IN_CHILD(forks_while_a_thread_zeroizes),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
