/* SPDX-License-Identifier: ISC */
/* Threads that share a heap: they free each other's buffers, end, and are interrupted by zeroize.
 */
#include "api/threads.h"

#include <pthread.h>
#include <sched.h>
#include <secure_malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "api/child.h"
#include "api/churn.h"
#include "api/look.h"
#include "api/well.h"

static void start(pthread_t *thread, void *(*body)(void *context), void *context)
{
    CHECK(pthread_create(thread, NULL, body, context) == 0);
}

static void join(pthread_t thread)
{
    CHECK(pthread_join(thread, NULL) == 0);
}

/* ---- many threads ---- */

static void many_threads_share_the_heap(void *context)
{
    (void)context;
    child_needs_to_lock(7168);
    churn_start(8, false);
    for (int i = 0; i < 200; i++) {
        (void)(i % 3 == 0 ? secure_purge() : i % 3 == 1 ? secure_trim() : stats_now().live_count);
    }
    CHECK(churn_stop() > 0);
    check_well();
    CHECK_EQUAL(stats_now().live_count, 0);
}

static void many_threads_at_a_limit(void *context)
{
    struct secure_options options = SECURE_OPTIONS_INIT;
    (void)context;
    options.lock_limit = 64 << 10;
    CHECK(secure_init(&options) == 0);
    churn_start(4, false);
    for (int i = 0; i < 200; i++) {
        char *one = secure_malloc((size_t)i);
        secure_free(one);
    }
    CHECK(churn_stop() > 0);
    CHECK(stats_now().locked_bytes <= 64 << 10);
    check_well();
    CHECK_EQUAL(stats_now().live_count, 0);
}

/* ---- the first use ---- */

enum { FIRST = 4 };

static pthread_barrier_t beginning;

static void *use_first(void *context)
{
    static const size_t sizes[] = {20000, 1000, 300, 32};
    (void)context;
    (void)pthread_barrier_wait(&beginning);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *buffer = secure_malloc(sizes[i]);
        CHECK(buffer != NULL);
        memset(buffer, 1, sizes[i]);
        secure_free(buffer);
    }
    return NULL;
}

/* One of them initialises the library; what the others read of it meanwhile, ThreadSanitizer sees.
 */
static void threads_that_come_first_together(void *context)
{
    pthread_t threads[FIRST];
    (void)context;
    CHECK(pthread_barrier_init(&beginning, NULL, FIRST) == 0);
    for (int i = 0; i < FIRST; i++) {
        start(&threads[i], use_first, NULL);
    }
    for (int i = 0; i < FIRST; i++) {
        join(threads[i]);
    }
    check_well();
    CHECK_EQUAL(stats_now().live_count, 0);
}

/* ---- one allocates, another frees ---- */

enum { PASSED = 30000, RING = 64 };

static _Atomic(unsigned char *) ring[RING];

static void *consume(void *context)
{
    (void)context;
    for (uint32_t i = 0; i < PASSED; i++) {
        unsigned char *buffer = NULL;
        while ((buffer = atomic_exchange(&ring[i % RING], NULL)) == NULL) {
            sched_yield();
        }
        uint32_t number = 0;
        memcpy(&number, buffer, sizeof(number));
        CHECK_EQUAL(number, i);
        secure_free(buffer);
    }
    return NULL;
}

static void a_producer_and_a_consumer(void *context)
{
    pthread_t consumer;
    (void)context;
    start(&consumer, consume, NULL);
    for (uint32_t i = 0; i < PASSED; i++) {
        while (atomic_load(&ring[i % RING]) != NULL) {
            sched_yield();
        }
        unsigned char *buffer = secure_malloc(32);
        CHECK(buffer != NULL);
        memcpy(buffer, &i, sizeof(i));
        atomic_store(&ring[i % RING], buffer);
    }
    join(consumer);
    check_well();
    CHECK_EQUAL(stats_now().live_count, 0);
    CHECK(stats_now().locked_bytes <= 512 << 10); /* nothing piles up on either side */
}

/* ---- threads that end ---- */

static void *allocate_and_leave(void *context)
{
    char **result = context;
    char *all[40];
    for (int i = 0; i < 40; i++) {
        all[i] = secure_malloc(100);
        CHECK(all[i] != NULL);
        memset(all[i], 7, 100);
    }
    for (int i = 1; i < 40; i++) {
        secure_free(all[i]);
    }
    *result = all[0];
    return NULL;
}

/* To its slabs, and what was too many for it while it lived to what all threads share: up to 32. */
static void a_thread_that_ends_returns_its_slots(void *context)
{
    char *left[100];
    (void)context;
    uint64_t locked = 0;
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        start(&thread, allocate_and_leave, &left[i]);
        join(thread);
        CHECK(stats_now().cached_slots <= 32);
        locked = i == 20 ? stats_now().locked_bytes : locked;
    }
    CHECK_EQUAL(stats_now().live_count, 100);
    CHECK(stats_now().locked_bytes <= locked + 8 * page_size()); /* 80 more buffers, no more */
    for (int i = 0; i < 100; i++) {
        CHECK(left[i][0] == 7 && left[i][99] == 7);
        secure_free_sized(left[i], 100);
    }
    check_well();
    (void)secure_purge();
    CHECK_EQUAL(stats_now().cached_slots, 0);
    CHECK_EQUAL(stats_now().all_slots, 0);
}

/* ---- destructors that run after ours ---- */

enum { KEYS = 64 };

static pthread_key_t thread_keys[KEYS];
static atomic_size_t destroyed;

/* Until the last round that the C library grants. */
static void allocate_at_the_end(void *value)
{
    char *buffer = secure_malloc(64);
    CHECK(buffer != NULL);
    memset(buffer, 1, 64);
    secure_free(value);
    char *large = secure_malloc(20000);
    secure_free(large);
    buffer = secure_realloc(buffer, 200);
    CHECK(buffer != NULL && buffer[0] == 1);
    /* TSan's own last destructor must not come before ours. */
    if (atomic_fetch_add(&destroyed, 1) % 3 != 0 && !SANITIZED) {
        CHECK(pthread_setspecific(thread_keys[0], buffer) == 0);
        return;
    }
    secure_free_sized(buffer, 200);
}

static void *hold_values(void *context)
{
    (void)context;
    char *first = secure_malloc(32);
    CHECK(first != NULL);
    for (int i = 0; i < KEYS; i++) {
        char *value = secure_malloc(64);
        CHECK(value != NULL && pthread_setspecific(thread_keys[i], value) == 0);
    }
    secure_free(first);
    return NULL;
}

static void run_threads_with_destructors(void)
{
    for (int i = 0; i < 10; i++) {
        pthread_t threads[3];
        for (int j = 0; j < 3; j++) {
            start(&threads[j], hold_values, NULL);
        }
        for (int j = 0; j < 3; j++) {
            join(threads[j]);
        }
    }
    CHECK(atomic_load(&destroyed) >= (size_t)30 * KEYS);
    check_well();
    (void)secure_purge(); /* our own go too */
    CHECK_EQUAL(stats_now().cached_slots, 0);
}

static void take_keys(void)
{
    for (int i = 0; i < KEYS; i++) {
        CHECK(pthread_key_create(&thread_keys[i], allocate_at_the_end) == 0);
    }
}

static void destructors_may_allocate_and_free(void *context)
{
    (void)context;
    child_needs_to_lock(1024);
    take_keys();
    run_threads_with_destructors();
}

static void keys_taken_after_the_first_use(void *context)
{
    (void)context;
    child_needs_to_lock(1024);
    use_heap(10000);
    take_keys();
    run_threads_with_destructors();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(threads_that_come_first_together),
        IN_CHILD(many_threads_share_the_heap),
        IN_CHILD(many_threads_at_a_limit),
        IN_CHILD(a_producer_and_a_consumer),
        IN_CHILD(a_thread_that_ends_returns_its_slots),
        IN_CHILD(destructors_may_allocate_and_free),
        IN_CHILD(keys_taken_after_the_first_use),
        IN_CHILD(threads_zeroize_from_a_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
