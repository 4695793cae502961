/* SPDX-License-Identifier: ISC */
#include "base/mutex.h"

#include <signal.h>

#include "unit/expect.h"

static struct mutex mutex = MUTEX_INIT;
static unsigned long count;

enum { ROUNDS = 100000 };

static void *count_up(void *context)
{
    (void)context;
    for (int i = 0; i < ROUNDS; i++) {
        mutex_lock(&mutex);
        count++;
        mutex_unlock(&mutex);
    }
    return NULL;
}

static void one_thread_is_inside(void **state)
{
    (void)state;
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(count, 2 * ROUNDS);
}

static void *try_it(void *context)
{
    bool *const taken = context;
    *taken = mutex_try_lock(&mutex);
    if (*taken) {
        mutex_unlock(&mutex);
    }
    return NULL;
}

static bool can_another_thread_take_it(void)
{
    bool taken = false;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, try_it, &taken), 0);
    pthread_join(thread, NULL);
    return taken;
}

static void try_says_whether_it_was_taken(void **state)
{
    (void)state;
    assert_true(mutex_try_lock(&mutex));
    assert_false(can_another_thread_take_it());
    mutex_unlock(&mutex);
    assert_true(can_another_thread_take_it());
}

static void take_in_child(void *context)
{
    (void)context;
    EXPECT(!mutex_try_lock(&mutex)); /* as the parent left it */
    mutex_init(&mutex);
    EXPECT(mutex_try_lock(&mutex));
    mutex_unlock(&mutex);
}

static void forked_child_may_start_it_afresh(void **state)
{
    (void)state;
    mutex_lock(&mutex);
    expect_child(take_in_child, NULL);
    mutex_unlock(&mutex);
}

/* A mutex that notices what is done to it. */
static struct mutex watchful;

static void make_watchful(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&watchful.mutex, &attributes);
}

static void lock_twice(void *context)
{
    (void)context;
    make_watchful();
    mutex_lock(&watchful);
    mutex_lock(&watchful);
}

static void unlock_unlocked(void *context)
{
    (void)context;
    make_watchful();
    mutex_unlock(&watchful);
}

static void misuse_of_our_own_is_fatal(void **state)
{
    (void)state;
    assert_death(lock_twice, SIGABRT,
                 "secure_malloc: fatal: unexpected error 35 from pthread_mutex_lock\n");
    assert_death(unlock_unlocked, SIGABRT,
                 "secure_malloc: fatal: unexpected error 1 from pthread_mutex_unlock\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread_is_inside),
        cmocka_unit_test(try_says_whether_it_was_taken),
        cmocka_unit_test(forked_child_may_start_it_afresh),
        cmocka_unit_test(misuse_of_our_own_is_fatal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
