/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <signal.h>

#include "unit/expect.h"
#include "unit/fresh_heap.h"
#include "unit/heap_model.h"
#include "unit/os_view.h"

#define FATAL "secure_malloc: fatal: "

static char *guarded(size_t size)
{
    int error = 0;
    char *start = heap_allocate_guarded(heap, size, &error);
    assert_non_null(start);
    return start;
}

static char *resize(char *start, size_t size)
{
    int error = 0;
    char *moved = heap_reallocate(heap, start, size, &error);
    assert_true(moved != NULL && error == 0);
    return moved;
}

static size_t slot_size(const char *start)
{
    return heap->classes.at[heap_place(heap, start).class].slot_size;
}

/* The longest buffer in a class's slots. */
static size_t most_in(uint32_t class)
{
    size_t size = heap->classes.at[class].slot_size;
    return size - (size > FINE_MAX ? CANARY_WIDE : CANARY_MIN);
}

static void within_a_slot_it_stays_where_it_is(void **state)
{
    (void)state;
    for (uint32_t class = 0; class < heap->classes.ordinary; class ++) {
        size_t most = most_in(class);
        size_t least = class > 0 ? most_in(class - 1) + 1 : 0;
        char *start = keeper_get(heap, most);
        memset(start, 'r', most);
        assert_ptr_equal(resize(start, least), start);
        /* What was cut off is canary now, and no byte of it is the old one. */
        for (size_t i = least; i < slot_size(start); i++) {
            assert_int_not_equal(start[i], 'r');
        }
        assert_true(canary_holds(start, least, slot_size(start), canary_of(heap, start)));
        assert_ptr_equal(resize(start, most), start);
        assert_true(view_is_all(start, least, 'r'));
        assert_true(view_is_all(start + least, most - least, 0)); /* the old canary is gone */
        assert_true(canary_holds(start, most, slot_size(start), canary_of(heap, start)));
        assert_int_equal(heap_size_of(heap, start), most);
    }
    layer_check_heap(heap);
}

static void a_move_wipes_what_is_left_behind(void **state)
{
    (void)state;
    /* From slots to slots, to large buffers, and back; large ones may grow in place. */
    const size_t sizes[] = {10, 1000, 40000, 100000};
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 4; j++) {
            char *start = keeper_get(heap, sizes[i]);
            size_t kept = sizes[i] < sizes[j] ? sizes[i] : sizes[j];
            memset(start, 'r', sizes[i]);
            char *moved = resize(start, sizes[j]);
            assert_true(moved != start || i == j || (i >= 2 && j >= 2));
            assert_true(view_is_all(moved, kept, 'r'));
            assert_true(view_is_all(moved + kept, sizes[j] - kept, 0));
            if (moved != start) {
                assert_true(view_is_all(start, sizes[i], 0));
            }
            heap_free(heap, moved, sizes[j]);
            layer_check_heap(heap);
        }
    }
}

static void size_0_never_frees(void **state)
{
    (void)state;
    const size_t sizes[] = {10, 1000, 100000};
    for (size_t i = 0; i < 3; i++) {
        char *start = resize(keeper_get(heap, sizes[i]), 0);
        assert_int_equal(heap_size_of(heap, start), 0);
        heap_free(heap, start, 0);
    }
    heap_free(heap, resize(guarded(100), 0), 0);
    layer_check_heap(heap);
    assert_int_equal(layer_numbers(heap).live_count, 0);
}

static void an_aligned_slot_keeps_its_place_while_it_holds(void **state)
{
    (void)state;
    int error = 0;
    char *start = heap_allocate_aligned(heap, 1024, 500, &error);
    assert_non_null(start);
    size_t most = slot_size(start) - CANARY_MIN;
    assert_ptr_equal(resize(start, most), start);
    assert_ptr_equal(resize(start, 1), start);
    assert_ptr_not_equal(resize(start, most + 1), start);
    layer_check_heap(heap);
}

/* ---- guarded buffers ---- */

static void a_guarded_buffer_stays_guarded_and_as_protected(void **state)
{
    (void)state;
    const enum os_access accesses[] = {OS_NO_ACCESS, OS_READ_ONLY, OS_READ_WRITE};
    for (size_t i = 0; i < 3; i++) {
        char *start = guarded(1000);
        memset(start, 'r', 1000);
        assert_int_equal(heap_protect(heap, start, accesses[i]), 0);
        char *moved = resize(start, 5000);
        struct place place = heap_place(heap, moved);
        assert_true(large_is_guarded(heap, &place));
        assert_int_equal(large_access_of(heap, place.region, place.first_page), accesses[i]);
        const char *expected[] = {"---p", "r--p", "rw-p"};
        assert_memory_equal(view_of(moved).access, expected[i], 4);
        assert_int_equal(heap_protect(heap, moved, OS_READ_WRITE), 0);
        assert_true(view_is_all(moved, 1000, 'r') && view_is_all(moved + 1000, 4000, 0));
        assert_true(view_is_all(start, 1000, 0));
        heap_free(heap, moved, 5000);
        layer_check_heap(heap);
    }
}

/* Each call to protect fails in turn: the buffer is then as it was, or has moved. */
static void a_guarded_buffer_that_cannot_move_is_as_it_was(void **state)
{
    (void)state;
    for (unsigned long at = 1; at <= 2; at++) {
        char *start = guarded(1000);
        int error = 0;
        memset(start, 'r', 1000);
        assert_int_equal(heap_protect(heap, start, OS_NO_ACCESS), 0);
        os_faults.only = 1u << CALL_PROTECT;
        os_faults_fail(at, false);
        assert_null(heap_reallocate(heap, start, 5000, &error));
        os_faults_fail(0, false);
        assert_int_equal(error, -ENOMEM);
        assert_memory_equal(view_of(start).access, "---p", 4);
        assert_int_equal(heap_size_of(heap, start), 1000);
        assert_int_equal(counter_read(&heap->large_count), 1);
        assert_int_equal(heap_protect(heap, start, OS_READ_WRITE), 0);
        assert_true(view_is_all(start, 1000, 'r'));
        heap_free(heap, start, 1000);
        layer_check_heap(heap);
    }
}

/* ---- errors ---- */

static void without_memory_the_buffer_is_as_it_was(void **state)
{
    (void)state;
    const size_t sizes[] = {10, 1000, 20000, 100000};
    const size_t wanted[] = {3000000, SIZE_MAX, (size_t)PTRDIFF_MAX + 1, 32000};
    for (size_t i = 0; i < 4; i++) {
        char *start = keeper_get(heap, sizes[i]);
        memset(start, 'r', sizes[i]);
        os_faults.only = 1u << CALL_LOCK;
        os_faults_fail(1, true);
        for (size_t j = 0; j < 4; j++) {
            int error = 0;
            if (wanted[j] == 32000 && sizes[i] > 32000) {
                continue; /* may well fit */
            }
            char *moved = heap_reallocate(heap, start, wanted[j], &error);
            if (moved != NULL) {
                assert_int_equal(wanted[j], 32000);
                start = moved;
                continue;
            }
            assert_int_equal(error, -ENOMEM);
            assert_true(view_is_all(start, sizes[i], 'r'));
            layer_check_heap(heap);
        }
        os_faults_fail(0, false);
        heap_free(heap, start, HEAP_ANY_SIZE);
    }
    layer_check_heap(heap);
}

static void resize_to_20(void *context)
{
    int error = 0;
    (void)heap_reallocate(heap, context, 20, &error);
}

static void resize_to_5000(void *context)
{
    int error = 0;
    (void)heap_reallocate(heap, context, 5000, &error);
}

static void misuse_says_what_it_is(void **state)
{
    (void)state;
    int local = 0;
    char *start = keeper_get(heap, 21);
    char *freed = keeper_get(heap, 21);
    char *damaged = keeper_get(heap, 21);
    char *large = keeper_get(heap, 100000);
    heap_free(heap, freed, 21);
    damaged[21] = 0;
    child_body *const bodies[] = {resize_to_20, resize_to_5000};
    for (size_t i = 0; i < 2; i++) {
        assert_death_with(bodies[i], freed, SIGABRT, FATAL "double free");
        assert_death_with(bodies[i], start + 1, SIGABRT, FATAL "interior pointer");
        assert_death_with(bodies[i], large + 16, SIGABRT, FATAL "interior pointer");
        assert_death_with(bodies[i], &local, SIGABRT, FATAL "invalid pointer");
        assert_death_with(bodies[i], damaged, SIGABRT, FATAL "buffer overflow");
    }
    heap_free(heap, large, 100000);
    assert_death_with(resize_to_20, large, SIGABRT, FATAL "double free");
}

/* ---- claims ---- */

static void no_claim_is_left_behind(void **state)
{
    (void)state;
    char *start = keeper_get(heap, 21);
    assert_ptr_equal(resize(start, 20), start);
    assert_int_equal(atomic_load(heap_place(heap, start).slot.record), 21);
    start = resize(start, 2000);
    start = resize(start, 200000);
    start = resize(start, 210000);
    assert_int_equal(atomic_load(&heap->claims), 0);
    heap_free(heap, start, 210000);
    layer_check_heap(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(within_a_slot_it_stays_where_it_is, fresh, end),
        cmocka_unit_test_setup_teardown(a_move_wipes_what_is_left_behind, fresh, end),
        cmocka_unit_test_setup_teardown(size_0_never_frees, fresh, end),
        cmocka_unit_test_setup_teardown(an_aligned_slot_keeps_its_place_while_it_holds, fresh, end),
        cmocka_unit_test_setup_teardown(a_guarded_buffer_stays_guarded_and_as_protected, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(a_guarded_buffer_that_cannot_move_is_as_it_was, fresh, end),
        cmocka_unit_test_setup_teardown(without_memory_the_buffer_is_as_it_was, fresh, end),
        cmocka_unit_test_setup_teardown(misuse_says_what_it_is, fresh, end),
        cmocka_unit_test_setup_teardown(no_claim_is_left_behind, fresh, end),
    };
    return layer_run(tests);
}
