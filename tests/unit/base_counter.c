/* SPDX-License-Identifier: ISC */
#include "base/counter.h"

#include <pthread.h>

#include "support/cmocka.h"

enum { THREADS = 4, TURNS = 100000 };

static counter shared;

static void a_counter_goes_up_and_down(void **state)
{
    (void)state;
    counter value = 0;
    counter_add(&value, 5);
    counter_sub(&value, 7);
    assert_int_equal(counter_read(&value), (uint64_t)-2); /* as what one thread alone frees */
    counter_set(&value, 3);
    assert_int_equal(counter_read(&value), 3);
}

/* To be run before there was a thread. */
static void a_shared_counter_counts_with_one_thread(void **state)
{
    (void)state;
    counter_set(&shared, 0);
    for (size_t i = 0; i < TURNS; i++) {
        counter_add_shared(&shared, 3);
        counter_add_shared(&shared, (uint64_t)-1);
    }
    assert_int_equal(counter_read(&shared), 2 * TURNS);
}

static void *add(void *context)
{
    for (size_t i = 0; i < TURNS; i++) {
        counter_add_shared(&shared, 3);
        counter_add_shared(&shared, (uint64_t)-1);
    }
    return context;
}

static void no_step_of_several_threads_is_lost(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    counter_set(&shared, 0);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, add, NULL), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(counter_read(&shared), (uint64_t)THREADS * 2 * TURNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_goes_up_and_down),
        cmocka_unit_test(a_shared_counter_counts_with_one_thread),
        cmocka_unit_test(no_step_of_several_threads_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
