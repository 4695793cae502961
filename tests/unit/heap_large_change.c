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

static bool resize(char *start, size_t size)
{
    struct place place = heap_place(heap, start);
    bool resized = large_resize(heap, &place, start, size);
    layer_check_heap(heap);
    return resized;
}

static size_t run_bytes(const char *start)
{
    struct place place = heap_place(heap, start);
    return large_at(heap, place.region, place.first_page)->count * heap->page_size;
}

static void touch(void *context)
{
    *(volatile char *)context = 1;
}

static void look(void *context)
{
    volatile char byte = *(volatile char *)context;
    (void)byte;
}

static void free_it(void *context)
{
    heap_free(heap, context, HEAP_ANY_SIZE);
}

/* ---- resizing ---- */

/* Old canary bytes, new bytes and what is left behind all read zero or canary, never old data. */
static void a_resized_buffer_has_its_bytes_zeros_and_canary(void **state)
{
    (void)state;
    const size_t sizes[] = {100000, 100001, 100008, 99990, 130000, 70000, 69999, 250000, 100000};
    char *start = keeper_get(heap, sizes[0]);
    size_t filled = sizes[0];
    os_faults.look_at_closed = true; /* wiped before any call to the kernel */
    memset(start, 'r', filled);
    for (size_t i = 1; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t size = sizes[i];
        assert_true(resize(start, size));
        size_t kept = filled < size ? filled : size;
        assert_int_equal(heap_size_of(heap, start), size);
        assert_true(view_is_all(start, kept, 'r'));
        assert_true(view_is_all(start + kept, size - kept, 0));
        assert_int_equal(run_bytes(start),
                         (size + heap->page_size - 1) / heap->page_size * heap->page_size);
        assert_true(canary_holds(start, size, run_bytes(start), canary_of(heap, start)));
        assert_int_equal(counter_read(&heap->large_bytes), size);
        memset(start, 'r', size);
        filled = size;
    }
    heap_free(heap, start, 100000);
    layer_check_heap(heap);
}

static void the_end_that_is_cut_off_is_wiped_even_if_it_cannot_be_closed(void **state)
{
    (void)state;
    char *start = keeper_get(heap, 200000);
    size_t whole = run_bytes(start);
    memset(start, 'r', 200000);
    os_faults.only = 1u << CALL_CLOSE;
    os_faults_fail(1, true);
    assert_true(resize(start, 100000));
    os_faults_fail(0, false);
    assert_int_equal(run_bytes(start), whole); /* slack now */
    assert_int_equal(heap_size_of(heap, start), 100000);
    for (size_t i = 100000; i < whole; i++) {
        assert_int_not_equal(start[i], 'r');
    }
    assert_true(canary_holds(start, 100000, whole, canary_of(heap, start)));
    assert_true(resize(start, 150000));
    assert_true(view_is_all(start + 100000, 50000, 0));
    heap_free(heap, start, 150000);
    layer_check_heap(heap);
}

static void without_room_nothing_changes(void **state)
{
    (void)state;
    char *start = keeper_get(heap, 100000);
    memset(start, 'r', 100000);
    os_faults.only = 1u << CALL_LOCK;
    os_faults_fail(1, true);
    assert_false(resize(start, 300000));
    os_faults_fail(0, false);
    assert_int_equal(heap_size_of(heap, start), 100000);
    assert_true(view_is_all(start, 100000, 'r'));
    assert_false(resize(start, heap->classes.size_max)); /* a slab's business */
    assert_false(resize(start, (size_t)PTRDIFF_MAX + 1));
    heap_free(heap, start, 100000);
}

static void a_guarded_buffer_resizes_while_its_start_stays(void **state)
{
    (void)state;
    char *start = guarded(41);
    memset(start, 'r', 41);
    assert_true(resize(start, 48));
    assert_true(view_is_all(start, 41, 'r') && view_is_all(start + 41, 7, 0));
    memset(start, 'r', 48);
    assert_true(resize(start, 33));
    assert_true(view_is_all(start, 33, 'r'));
    for (size_t i = 33; i < 48; i++) {
        assert_int_not_equal(start[i], 'r');
    }
    assert_false(resize(start, 32));
    assert_false(resize(start, 49));
    assert_int_equal(heap_size_of(heap, start), 33);
    assert_int_equal(heap_protect(heap, start, OS_READ_ONLY), 0);
    assert_false(resize(start, 40));
    heap_free(heap, start, 33);
    layer_check_heap(heap);
}

struct damage {
    char *start;
    size_t at, size;
};

static void damage_and_resize(void *context)
{
    const struct damage *damage = context;
    struct place place = heap_place(heap, damage->start);
    damage->start[damage->at] = 0;
    (void)large_resize(heap, &place, damage->start, damage->size);
}

static void resizing_checks_the_canary_first(void **state)
{
    (void)state;
    char *start = keeper_get(heap, 100001);
    struct damage damage[] = {
        {start, 100001, 100002}, {start, 100010, 90000}, {start, 100001, 300000}};
    for (size_t i = 0; i < 3; i++) {
        assert_death_with(damage_and_resize, &damage[i], SIGABRT, FATAL "buffer overflow");
    }
}

/* ---- protecting ---- */

static void access_is_as_it_was_set(void **state)
{
    (void)state;
    char *start = guarded(5000);
    memset(start, 'r', 5000);
    assert_int_equal(heap_protect(heap, start, OS_READ_ONLY), 0);
    assert_survives_with(look, start);
    assert_death_with(touch, start, SIGSEGV, NULL);
    assert_int_equal(heap_protect(heap, start, OS_NO_ACCESS), 0);
    assert_death_with(look, start, SIGSEGV, NULL);
    assert_int_equal(heap_size_of(heap, start), 5000);
    assert_int_equal(heap_protect(heap, start, OS_READ_WRITE), 0);
    assert_true(view_is_all(start, 5000, 'r'));
    assert_survives_with(touch, start);
    assert_true(os_faults.pretend_locks || view_is_locked(start));
    layer_check_heap(heap);
}

static void a_refusal_leaves_access_as_it_was(void **state)
{
    (void)state;
    char *start = guarded(5000);
    os_faults.only = 1u << CALL_PROTECT;
    os_faults_fail(1, false);
    assert_int_equal(heap_protect(heap, start, OS_NO_ACCESS), -ENOMEM);
    assert_survives_with(touch, start);
    layer_check_heap(heap);
    heap_free(heap, start, 5000);
}

static void only_guarded_buffers_can_be_protected(void **state)
{
    (void)state;
    char *large = keeper_get(heap, 100000);
    char *small = keeper_get(heap, 100);
    assert_int_equal(heap_protect(heap, large, OS_NO_ACCESS), -EINVAL);
    assert_int_equal(heap_protect(heap, small, OS_NO_ACCESS), -EINVAL);
    *large = 1;
    *small = 1;
    layer_check_heap(heap);
}

static void protect_it(void *context)
{
    (void)heap_protect(heap, context, OS_READ_ONLY);
}

static void protecting_what_is_not_live_is_fatal(void **state)
{
    (void)state;
    char *start = guarded(5000);
    assert_death_with(protect_it, start + 16, SIGABRT, FATAL "interior pointer");
    heap_free(heap, start, 5000);
    assert_death_with(protect_it, start, SIGABRT, FATAL "invalid pointer");
    assert_death_with(free_it, start, SIGABRT, FATAL "double free");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_resized_buffer_has_its_bytes_zeros_and_canary, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(
            the_end_that_is_cut_off_is_wiped_even_if_it_cannot_be_closed, fresh, end),
        cmocka_unit_test_setup_teardown(without_room_nothing_changes, fresh, end),
        cmocka_unit_test_setup_teardown(a_guarded_buffer_resizes_while_its_start_stays, fresh, end),
        cmocka_unit_test_setup_teardown(resizing_checks_the_canary_first, fresh, end),
        cmocka_unit_test_setup_teardown(access_is_as_it_was_set, fresh, end),
        cmocka_unit_test_setup_teardown(a_refusal_leaves_access_as_it_was, fresh, end),
        cmocka_unit_test_setup_teardown(only_guarded_buffers_can_be_protected, fresh, end),
        cmocka_unit_test_setup_teardown(protecting_what_is_not_live_is_fatal, fresh, end),
    };
    return layer_run(tests);
}
