/* SPDX-License-Identifier: ISC */
#include "pages/bookkeeping.h"

#include <signal.h>
#include <string.h>

#include "unit/expect.h"
#include "unit/layer.h"
#include "unit/os_view.h"

enum { LINE = 64, RESERVATION = 512 * 1024 };

static struct bookkeeping bookkeeping;
static size_t page;

static int fresh(void **state)
{
    (void)state;
    page = os_page_size();
    os_faults_reset();
    bookkeeping = (struct bookkeeping){0};
    bookkeeping_init(&bookkeeping, page);
    return 0;
}

static void touch(void *context)
{
    *(volatile char *)context = 1;
}

static void what_is_taken_is_zero_aligned_and_distinct(void **state)
{
    (void)state;
    char *end = NULL;
    for (size_t i = 1; i < 2000; i++) {
        size_t size = i * 37 % 700 + 1;
        char *taken = bookkeeping_take(&bookkeeping, size);
        assert_non_null(taken);
        assert_int_equal((uintptr_t)taken % LINE, 0);
        assert_true(view_is_all(taken, size, 0));
        memset(taken, 0xff, size);
        if (end != NULL && taken > end) {
            assert_true((size_t)(taken - end) < LINE || bookkeeping.reserved > RESERVATION);
        }
        end = taken + size;
    }
}

static void it_is_neither_locked_nor_dumped(void **state)
{
    (void)state;
    char *taken = bookkeeping_take(&bookkeeping, 100);
    assert_false(view_is_locked(taken));
    assert_true(view_has(taken, " dd "));
}

static void check_guards(const char *inside)
{
    struct bookkeeping_reservation *newest = bookkeeping.reservations;
    char *start = (char *)newest;
    char *last = start - page + newest->size - 1;
    assert_true(start < inside && inside < last);
    assert_death_with(touch, start - 1, SIGSEGV, NULL);
    assert_death_with(touch, last, SIGSEGV, NULL);
    assert_death_with(touch, last - page + 1, SIGSEGV, NULL);
}

static void guards_are_on_both_sides(void **state)
{
    (void)state;
    check_guards(bookkeeping_take(&bookkeeping, 100));
}

static void any_size_leaves_the_rear_guard_in_place(void **state)
{
    (void)state;
    const size_t sizes[] = {RESERVATION - 2 * LINE, RESERVATION - LINE,
                            RESERVATION - LINE + 1, RESERVATION,
                            RESERVATION + 1,        3 * RESERVATION};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        fresh(NULL);
        char *taken = bookkeeping_take(&bookkeeping, sizes[i]);
        assert_non_null(taken);
        memset(taken, 1, sizes[i]);
        check_guards(taken);
    }
}

static void only_what_is_needed_is_opened(void **state)
{
    (void)state;
    char *first = bookkeeping_take(&bookkeeping, 100);
    struct view view = view_of(first);
    assert_int_equal(view.end - view.start, page);
    char *next = bookkeeping_take(&bookkeeping, 3 * page);
    assert_true(view_of(first).end > (uintptr_t)next + 3 * page - 1);
}

static void each_failure_is_null_and_the_next_try_works(void **state)
{
    (void)state;
    /* A failed reservation is tried again, smaller. */
    for (unsigned long at = 1; at < 8; at++) {
        fresh(NULL);
        os_faults.only = 1u << CALL_RESERVE | 1u << CALL_OPEN_BOOKKEEPING;
        os_faults_fail(at, true);
        char *first = bookkeeping_take(&bookkeeping, 100);
        char *second = first != NULL ? bookkeeping_take(&bookkeeping, RESERVATION) : NULL;
        assert_true(second == NULL || at > 4);
        if (first == NULL) {
            assert_int_equal(os_faults.reserved, 0);
        }
        os_faults_fail(0, false);
        second = bookkeeping_take(&bookkeeping, RESERVATION);
        assert_non_null(second);
        memset(second, 1, RESERVATION);
        assert_non_null(bookkeeping_take(&bookkeeping, 1));
    }
}

static void a_smaller_reservation_will_do(void **state)
{
    (void)state;
    os_faults.only = 1u << CALL_RESERVE;
    os_faults_fail(1, false);
    assert_non_null(bookkeeping_take(&bookkeeping, 100));
    assert_int_equal(bookkeeping.reserved, 3 * page);
}

static void unlock_takes_the_lock_off_each_reservation(void **state)
{
    (void)state;
    char *first = bookkeeping_take(&bookkeeping, RESERVATION / 2);
    char *second = bookkeeping_take(&bookkeeping, RESERVATION - page);
    assert_true(first != NULL && second != NULL);
    char *pages[] = {first - (uintptr_t)first % page, second - (uintptr_t)second % page};
    os_faults.pretend_locks = false;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(os_pages_lock(pages[i], page), 0);
        assert_true(view_is_locked(pages[i]));
    }
    bookkeeping_unlock(&bookkeeping);
    assert_false(view_is_locked(first) || view_is_locked(second));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_is_taken_is_zero_aligned_and_distinct, fresh),
        cmocka_unit_test_setup(it_is_neither_locked_nor_dumped, fresh),
        cmocka_unit_test_setup(guards_are_on_both_sides, fresh),
        cmocka_unit_test_setup(any_size_leaves_the_rear_guard_in_place, fresh),
        cmocka_unit_test_setup(only_what_is_needed_is_opened, fresh),
        cmocka_unit_test_setup(each_failure_is_null_and_the_next_try_works, fresh),
        cmocka_unit_test_setup(a_smaller_reservation_will_do, fresh),
        cmocka_unit_test_setup(unlock_takes_the_lock_off_each_reservation, fresh),
    };
    return layer_run(tests);
}
