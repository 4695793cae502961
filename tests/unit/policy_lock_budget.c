/* SPDX-License-Identifier: ISC */
#include "policy/lock_budget.h"

#include "support/cmocka.h"

enum { KIB = 1024, MIB = 1024 * 1024, PAGE = 4096 };

static const uint64_t NONE = UINT64_MAX;

static void limit_is_the_lesser_of_option_and_kernel(void **state)
{
    (void)state;
    assert_int_equal(lock_budget_limit(0, 8 * MIB), 8 * MIB);
    assert_int_equal(lock_budget_limit(0, NONE), NONE);
    assert_int_equal(lock_budget_limit(MIB, 8 * MIB), MIB);
    assert_int_equal(lock_budget_limit(MIB, NONE), MIB);
    assert_int_equal(lock_budget_limit(16 * MIB, 8 * MIB), 8 * MIB);
    assert_int_equal(lock_budget_limit(MIB, 0), 0);
}

static void option_allows_up_to_itself(void **state)
{
    (void)state;
    assert_true(lock_budget_allows(0, UINT64_MAX, UINT64_MAX));
    assert_true(lock_budget_allows(MIB, 0, MIB));
    assert_false(lock_budget_allows(MIB, 0, MIB + 1));
    assert_true(lock_budget_allows(MIB, MIB - PAGE, PAGE));
    assert_false(lock_budget_allows(MIB, MIB, 1));
    assert_false(lock_budget_allows(MIB, 2 * MIB, 0));
    assert_false(lock_budget_allows(MIB, PAGE, UINT64_MAX)); /* no overflow */
}

static void first_region_is_a_mebibyte_or_the_limit(void **state)
{
    (void)state;
    assert_int_equal(lock_budget_region(NONE, 0, 0, PAGE, PAGE), MIB);
    assert_int_equal(lock_budget_region(8 * MIB, 0, 0, PAGE, PAGE), MIB);
    assert_int_equal(lock_budget_region(64 * KIB, 0, 0, PAGE, PAGE), 64 * KIB);
    assert_int_equal(lock_budget_region(64 * KIB + 100, 0, 0, PAGE, PAGE), 64 * KIB);
    assert_int_equal(lock_budget_region(0, 0, 0, 0, PAGE), PAGE);
    assert_int_equal(lock_budget_region(100, 0, 0, 0, PAGE), PAGE);
}

static void regions_double_up_to_what_the_limit_leaves(void **state)
{
    (void)state;
    assert_int_equal(lock_budget_region(NONE, MIB, MIB, PAGE, PAGE), 2 * MIB);
    assert_int_equal(lock_budget_region(NONE, 63 * MIB, 32 * MIB, PAGE, PAGE), 64 * MIB);
    assert_int_equal(lock_budget_region(8 * MIB, 3 * MIB, 2 * MIB, PAGE, PAGE), 4 * MIB);
    assert_int_equal(lock_budget_region(8 * MIB, 7 * MIB, 4 * MIB, PAGE, PAGE), MIB);
    /* never less than the first, though the limit was lowered or all of it is reserved */
    assert_int_equal(lock_budget_region(8 * MIB, 8 * MIB, 4 * MIB, PAGE, PAGE), MIB);
    assert_int_equal(lock_budget_region(8 * MIB, 100 * MIB, 4 * MIB, PAGE, PAGE), MIB);
    assert_int_equal(lock_budget_region(64 * KIB, 8 * MIB, 4 * MIB, PAGE, PAGE), 64 * KIB);
}

static void region_is_always_enough(void **state)
{
    (void)state;
    assert_int_equal(lock_budget_region(64 * KIB, 64 * KIB, 64 * KIB, 5 * MIB, PAGE), 5 * MIB);
    assert_int_equal(lock_budget_region(NONE, 0, 0, 5 * MIB + 1, PAGE), 5 * MIB + PAGE);
}

static void step_is_a_share_of_what_is_open_or_of_the_limit(void **state)
{
    (void)state;
    assert_int_equal(lock_budget_step(NONE, 0, PAGE, PAGE), 256 * KIB);
    assert_int_equal(lock_budget_step(8 * MIB, 0, PAGE, PAGE), 128 * KIB);
    assert_int_equal(lock_budget_step(64 * KIB, 0, PAGE, PAGE), PAGE);
    assert_int_equal(lock_budget_step(64 * KIB, 0, 0, PAGE), PAGE);
    assert_int_equal(lock_budget_step(0, 0, 0, PAGE), PAGE);
    assert_int_equal(lock_budget_step(8 * MIB, 6 * MIB, PAGE, PAGE), 192 * KIB);
    assert_int_equal(lock_budget_step(NONE, 64 * MIB, PAGE, PAGE), 2 * MIB);
    assert_int_equal(lock_budget_step(64 * KIB, 0, 7 * PAGE, PAGE), 7 * PAGE);
    assert_int_equal(lock_budget_step(64 * KIB, 0, 6 * PAGE + 1, PAGE), 7 * PAGE);
}

/* A step that is rounded up would be more than its share. */
static void sizes_are_whole_pages_of_any_size(void **state)
{
    (void)state;
    for (size_t page = PAGE; page <= 64 * KIB; page *= 4) {
        for (uint64_t limit = 0; limit < 3 * MIB; limit += 12345) {
            const size_t region = lock_budget_region(limit, 0, 0, 1, page);
            const size_t step = lock_budget_step(limit, limit / 2, 1, page);
            assert_true(region >= page && region % page == 0);
            assert_true(step >= page && step % page == 0);
            assert_true(region <= limit || region == page);
            assert_true(step <= limit / 64 || step <= limit / 64 + page);
        }
    }
}

static void huge_numbers_do_not_wrap(void **state)
{
    (void)state;
    const size_t most = SIZE_MAX - SIZE_MAX % PAGE;
    assert_int_equal(lock_budget_region(NONE, 0, most, PAGE, PAGE), most);
    assert_int_equal(lock_budget_region(NONE, NONE, most / 2 + PAGE, PAGE, PAGE),
                     lock_budget_region(NONE, 0, most / 2 + PAGE, PAGE, PAGE));
    assert_true(lock_budget_step(NONE - 1, NONE, PAGE, PAGE) >= NONE / 64);
}

static void magazines_have_a_sixteenth(void **state)
{
    (void)state;
    assert_int_equal(lock_budget_magazines(64 * KIB), 4 * KIB);
    assert_int_equal(lock_budget_magazines(8 * MIB), 512 * KIB);
    assert_int_equal(lock_budget_magazines(NONE), NONE);
    assert_int_equal(lock_budget_magazines(0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limit_is_the_lesser_of_option_and_kernel),
        cmocka_unit_test(option_allows_up_to_itself),
        cmocka_unit_test(first_region_is_a_mebibyte_or_the_limit),
        cmocka_unit_test(regions_double_up_to_what_the_limit_leaves),
        cmocka_unit_test(region_is_always_enough),
        cmocka_unit_test(step_is_a_share_of_what_is_open_or_of_the_limit),
        cmocka_unit_test(sizes_are_whole_pages_of_any_size),
        cmocka_unit_test(huge_numbers_do_not_wrap),
        cmocka_unit_test(magazines_have_a_sixteenth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
