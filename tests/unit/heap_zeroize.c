/* SPDX-License-Identifier: ISC */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "unit/expect.h"
#include "unit/fresh_heap.h"
#include "unit/heap_model.h"
#include "unit/os_view.h"

static char *guarded(size_t size)
{
    int error = 0;
    char *start = heap_allocate_guarded(heap, size, &error);
    assert_non_null(start);
    return start;
}

static void every_live_byte_is_wiped_and_no_canary(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 24, 100, 500, 3000, 20000, 100000};
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]), EACH = 20 };
    static char *buffers[SIZES][EACH];
    static char *protected[3];
    for (size_t i = 0; i < SIZES; i++) {
        for (size_t j = 0; j < EACH; j++) {
            buffers[i][j] = keeper_get(heap, sizes[i]);
            memset(buffers[i][j], 's', sizes[i]);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        protected[i] = guarded(77);
        memset(protected[i], 's', 77);
        assert_int_equal(heap_protect(heap, protected[i], (enum os_access)i), 0);
    }
    heap_zeroize(heap);
    for (size_t i = 0; i < SIZES; i++) {
        for (size_t j = 0; j < EACH; j++) {
            assert_true(view_is_all(buffers[i][j], sizes[i], 0));
            heap_free(heap, buffers[i][j], sizes[i]); /* the canary holds, the pointer is valid */
        }
    }
    for (size_t i = 0; i < 3; i++) {
        const char *expected[] = {"---p", "r--p", "rw-p"};
        assert_memory_equal(view_of(protected[i]).access, expected[i], 4);
        assert_int_equal(heap_protect(heap, protected[i], OS_READ_ONLY), 0);
        assert_true(view_is_all(protected[i], 77, 0));
        heap_free(heap, protected[i], 77);
    }
    assert_int_equal(atomic_load(&heap->zeroizing), 0);
    assert_int_equal(atomic_load(&heap->zeroized), 1);
    layer_check_heap(heap);
}

static void no_mutex_is_taken(void **state)
{
    (void)state;
    char *small = keeper_get(heap, 100);
    char *large = keeper_get(heap, 100000);
    *small = 1;
    *large = 1;
    heap_fork_prepare(heap); /* holds them all */
    heap_zeroize(heap);
    heap_fork_done(heap);
    assert_int_equal(*small | *large, 0);
}

static void what_is_claimed_is_passed_over(void **state)
{
    (void)state;
    char *small = keeper_get(heap, 100);
    char *large = keeper_get(heap, 100000);
    struct place place = heap_place(heap, large);
    slot_record *record = heap_place(heap, small).slot.record;
    large_record *of_large = &large_at(heap, place.region, place.first_page)->record;
    memset(small, 's', 100);
    memset(large, 's', 100);
    atomic_fetch_or(record, SLOT_CLAIMED);
    atomic_fetch_or(of_large, LARGE_CLAIMED);
    heap_zeroize(heap); /* and does not wait: it may interrupt the holder */
    assert_true(view_is_all(small, 100, 's') && view_is_all(large, 100, 's'));
    assert_int_equal(atomic_load(record), SLOT_CLAIMED | 101);
    assert_int_equal(atomic_load(of_large), LARGE_CLAIMED | 100001);
    atomic_fetch_and(record, (uint16_t)~SLOT_CLAIMED);
    atomic_fetch_and(of_large, ~LARGE_CLAIMED);
    heap_zeroize(heap);
    assert_true(view_is_all(small, 100, 0) && view_is_all(large, 100, 0));
    layer_check_heap(heap);
}

/* One that has looked at the new place already, and comes to the old one too late. */
static void pass_by(void *context)
{
    (void)context;
    os_faults.during_open_bookkeeping = NULL;
    atomic_fetch_add(&heap->zeroized, 1);
}

static void a_move_that_meets_it_wipes_its_result(void **state)
{
    (void)state;
    char *start = keeper_get(heap, 1000);
    int error = 0;
    memset(start, 's', 1000);
    os_faults.during_open_bookkeeping = pass_by; /* the new place needs a region */
    char *moved = heap_reallocate(heap, start, 300000, &error);
    assert_non_null(moved);
    assert_null(os_faults.during_open_bookkeeping); /* it did come */
    assert_true(view_is_all(moved, 300000, 0));
    layer_check_heap(heap);
}

/* ---- beside threads that work ---- */

enum { THREADS = 2, HELD = 24 };

static _Atomic bool stop;

static void *work(void *context)
{
    static const size_t sizes[] = {16, 40, 100, 300, 1000, 5000, 40000};
    char *held[HELD] = {0};
    uint32_t random = *(uint32_t *)context;
    while (!atomic_load(&stop)) {
        random = random * 1664525 + 1013904223;
        size_t i = (random >> 8) % HELD;
        size_t size = sizes[(random >> 20) % 7];
        int error = 0;
        if (held[i] == NULL) {
            held[i] = slot_allocate(heap, size, keeper_no_more);
            held[i] = held[i] != NULL ? held[i] : heap_allocate(heap, size, &error);
            memset(held[i], 's', size);
        } else if ((random >> 28) % 4 == 0) {
            held[i] = heap_reallocate(heap, held[i], size, &error);
        } else {
            heap_free(heap, held[i], HEAP_ANY_SIZE);
            held[i] = NULL;
        }
    }
    for (size_t i = 0; i < HELD; i++) {
        if (held[i] != NULL) {
            heap_free(heap, held[i], HEAP_ANY_SIZE);
        }
    }
    heap_thread_exit(heap, cache_mine);
    return NULL;
}

/* Canaries and free slots are checked by the heap itself at each step. */
static void threads_go_on_beside_it(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    uint32_t seeds[THREADS] = {1, 77};
    atomic_store(&stop, false);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, &seeds[i]), 0);
    }
    for (size_t i = 0; i < 300; i++) {
        heap_zeroize(heap);
        usleep(1000);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    layer_check_heap(heap);
    assert_int_equal(layer_numbers(heap).live_count, 0);
}

/* ---- in a signal handler ---- */

static void zeroize_now(int number)
{
    (void)number;
    heap_zeroize(heap);
}

static void a_signal_may_interrupt_anything(void **state)
{
    (void)state;
    uint32_t seed = 5;
    pthread_t thread;
    struct sigaction action = {.sa_handler = zeroize_now};
    struct sigaction old;
    assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
    atomic_store(&stop, false);
    assert_int_equal(pthread_create(&thread, NULL, work, &seed), 0);
    for (size_t i = 0; i < 300; i++) {
        assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
        usleep(1000);
    }
    atomic_store(&stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
    layer_check_heap(heap);
}

/* ---- one buffer ---- */

static void one_buffer_alone(void **state)
{
    (void)state;
    char *buffers[] = {keeper_get(heap, 100), keeper_get(heap, 100), keeper_get(heap, 100000),
                       guarded(100)};
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 4; j++) {
            memset(buffers[j], 's', 100);
        }
        heap_zeroize_one(heap, buffers[i]);
        for (size_t j = 0; j < 4; j++) {
            assert_true(view_is_all(buffers[j], 100, i == j ? 0 : 's'));
        }
    }
    layer_check_heap(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_live_byte_is_wiped_and_no_canary, fresh, end),
        cmocka_unit_test_setup_teardown(no_mutex_is_taken, fresh, end),
        cmocka_unit_test_setup_teardown(what_is_claimed_is_passed_over, fresh, end),
        cmocka_unit_test_setup_teardown(a_move_that_meets_it_wipes_its_result, fresh, end),
        cmocka_unit_test_setup_teardown(threads_go_on_beside_it, fresh, end),
        cmocka_unit_test_setup_teardown(a_signal_may_interrupt_anything, fresh, end),
        cmocka_unit_test_setup_teardown(one_buffer_alone, fresh, end),
    };
    return layer_run(tests);
}
