/* SPDX-License-Identifier: ISC */
#include "policy/purge_policy.h"

#include "support/cmocka.h"

enum { KIB = 1024, MIB = 1024 * 1024 };

static struct purge_policy by_default(void)
{
    struct purge_policy policy;
    purge_policy_init(&policy, UINT64_MAX);
    return policy;
}

static struct purge_policy configured(uint64_t limit)
{
    struct purge_policy policy;
    purge_policy_init(&policy, limit);
    return policy;
}

static void default_limit_is_an_eighth_of_what_is_live(void **state)
{
    (void)state;
    const struct purge_policy policy = by_default();
    assert_int_equal(purge_policy_limit(&policy, 0), 128 * KIB);
    assert_int_equal(purge_policy_limit(&policy, MIB), 128 * KIB);
    assert_int_equal(purge_policy_limit(&policy, 16 * MIB), 2 * MIB);
}

static void nothing_is_due_up_to_the_limit(void **state)
{
    (void)state;
    const struct purge_policy policy = by_default();
    assert_int_equal(purge_policy_due(&policy, 0, 0), 0);
    assert_int_equal(purge_policy_due(&policy, 0, 128 * KIB), 0);
    assert_int_equal(purge_policy_due(&policy, 16 * MIB, 2 * MIB), 0);
}

static void batch_goes_down_to_half_the_limit(void **state)
{
    (void)state;
    const struct purge_policy policy = by_default();
    assert_int_equal(purge_policy_due(&policy, 0, 132 * KIB), 68 * KIB);
    assert_int_equal(purge_policy_due(&policy, 0, 500 * KIB), 436 * KIB);
    assert_int_equal(purge_policy_due(&policy, 0, 64 * MIB), PURGE_BATCH_BYTES_MAX);
}

static void configured_limit_stands(void **state)
{
    (void)state;
    struct purge_policy policy = configured(MIB);
    assert_int_equal(purge_policy_limit(&policy, 100 * MIB), MIB);
    assert_int_equal(purge_policy_due(&policy, 100 * MIB, MIB), 0);
    assert_int_equal(purge_policy_due(&policy, 100 * MIB, MIB + 4 * KIB), 516 * KIB);
    for (int i = 0; i < 10; i++) {
        purge_policy_done(&policy, 10 * MIB, 2 * MIB, MIB);
        purge_policy_taken(&policy, 10 * MIB, 2 * MIB, MIB);
    }
    assert_int_equal(purge_policy_limit(&policy, 10 * MIB), MIB);
}

static void limit_of_zero_purges_at_once(void **state)
{
    (void)state;
    const struct purge_policy policy = configured(0);
    assert_int_equal(purge_policy_due(&policy, 0, 0), 0);
    assert_int_equal(purge_policy_due(&policy, 100 * MIB, 4 * KIB), 4 * KIB);
}

/* One round of a program that has `peak` bytes in use, frees `freed` of them at once and takes them
 * again: one batch at most. Returns the bytes that were given back. */
static uint64_t round_of(struct purge_policy *policy, uint64_t peak, uint64_t freed)
{
    purge_policy_taken(policy, peak, 0, 0);
    const uint64_t due = purge_policy_due(policy, peak - freed, freed);
    if (due > 0) {
        purge_policy_done(policy, peak - freed, freed, due);
    }
    purge_policy_taken(policy, peak, 0, due);
    return due;
}

static void steady_load_comes_to_rest(uint64_t peak, uint64_t freed)
{
    struct purge_policy policy = by_default();
    assert_true(round_of(&policy, peak, freed) > 0);
    int rounds = 1;
    while (round_of(&policy, peak, freed) > 0) {
        assert_true(++rounds < 20);
    }
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(round_of(&policy, peak, freed), 0);
    }
}

static void steady_load_never_enters_the_kernel(void **state)
{
    (void)state;
    steady_load_comes_to_rest(256 * KIB, 256 * KIB); /* one buffer in a loop: all of it dirty */
    steady_load_comes_to_rest(8 * MIB, 8 * MIB);
    steady_load_comes_to_rest(64 * MIB, 12 * MIB);
    steady_load_comes_to_rest(300 * KIB, 200 * KIB);
}

static void limit_does_not_outgrow_the_peak(void **state)
{
    (void)state;
    struct purge_policy policy = by_default();
    for (int i = 0; i < 50; i++) {
        purge_policy_taken(&policy, MIB, 0, MIB);
        purge_policy_done(&policy, 0, MIB, MIB);
    }
    assert_int_equal(purge_policy_limit(&policy, 0), MIB);
}

static void batch_that_is_half_retaken_doubles_the_limit(void **state)
{
    (void)state;
    struct purge_policy policy = by_default();
    purge_policy_taken(&policy, 8 * MIB, 0, 0);
    purge_policy_done(&policy, 0, 8 * MIB, MIB);
    assert_int_equal(purge_policy_limit(&policy, 0), 128 * KIB);
    purge_policy_taken(&policy, 0, 8 * MIB, 512 * KIB - 1);
    purge_policy_done(&policy, 0, 8 * MIB, MIB);
    assert_int_equal(purge_policy_limit(&policy, 0), 128 * KIB); /* less than half: as it was */
    purge_policy_taken(&policy, 0, 8 * MIB, 512 * KIB);
    purge_policy_done(&policy, 0, 8 * MIB, MIB);
    assert_int_equal(purge_policy_limit(&policy, 0), 256 * KIB);
}

static void limit_returns_when_nothing_is_retaken(void **state)
{
    (void)state;
    struct purge_policy policy = by_default();
    while (round_of(&policy, 8 * MIB, 8 * MIB) > 0) {
    }
    uint64_t limit = purge_policy_limit(&policy, 0);
    assert_true(limit >= 4 * MIB);
    /* The program has changed: what it frees now it does not want again. */
    policy.retaken = 0;
    for (int i = 0; i < 10; i++) {
        purge_policy_done(&policy, 0, limit + 4 * KIB, MIB);
        assert_true(purge_policy_limit(&policy, 0) <= limit / 2 || limit <= 256 * KIB);
        limit = purge_policy_limit(&policy, 0);
    }
    assert_int_equal(limit, 64 * KIB);
    /* And wants it again: the default is back. */
    purge_policy_taken(&policy, 0, 0, 4 * KIB);
    purge_policy_done(&policy, 0, 132 * KIB, 68 * KIB);
    assert_int_equal(purge_policy_limit(&policy, 0), 128 * KIB);
}

static void receding_load_has_half_the_limit(void **state)
{
    (void)state;
    struct purge_policy policy = by_default();
    purge_policy_taken(&policy, 64 * MIB, 0, 0);
    purge_policy_done(&policy, 32 * MIB, 5 * MIB, MIB);
    assert_int_equal(purge_policy_limit(&policy, 32 * MIB), 4 * MIB); /* one batch tells nothing */
    purge_policy_done(&policy, 32 * MIB, 5 * MIB, MIB);
    assert_int_equal(purge_policy_limit(&policy, 32 * MIB), 2 * MIB);
    assert_int_equal(purge_policy_due(&policy, 32 * MIB, 2 * MIB + 4 * KIB), MIB);
    struct purge_policy fixed = configured(MIB);
    purge_policy_done(&fixed, 32 * MIB, 5 * MIB, MIB);
    purge_policy_done(&fixed, 32 * MIB, 5 * MIB, MIB);
    assert_int_equal(purge_policy_limit(&fixed, 32 * MIB), MIB);
}

static void burst_is_given_back(void **state)
{
    (void)state;
    struct purge_policy policy = by_default();
    uint64_t live = 64 * MIB;
    uint64_t dirty = 0;
    uint64_t most = 0;
    purge_policy_taken(&policy, live, 0, 0);
    while (live > 0) {
        live -= 4 * KIB;
        dirty += 4 * KIB;
        const uint64_t due = purge_policy_due(&policy, live, dirty);
        if (due > 0) {
            purge_policy_done(&policy, live, dirty, due);
            dirty -= due;
        }
        most = dirty > most ? dirty : most;
    }
    assert_true(dirty <= 64 * KIB);
    assert_true(most <= 8 * MIB);
}

static void old_peak_is_forgotten(void **state)
{
    (void)state;
    struct purge_policy policy = by_default();
    purge_policy_taken(&policy, 64 * MIB, 0, 0);
    for (int i = 0; i < 12; i++) {
        purge_policy_done(&policy, 0, 256 * KIB, 128 * KIB);
    }
    for (int i = 0; i < 12; i++) {
        purge_policy_taken(&policy, 0, 256 * KIB, 128 * KIB);
        purge_policy_done(&policy, 0, 256 * KIB, 128 * KIB);
    }
    assert_true(purge_policy_limit(&policy, 0) <= 512 * KIB);
}

static void ahead_is_a_sixteenth_of_what_is_live(void **state)
{
    (void)state;
    const struct purge_policy policy = by_default();
    assert_int_equal(purge_policy_ahead(&policy, 0, 0), 0);
    assert_int_equal(purge_policy_ahead(&policy, 60 * KIB, 0), 60 * KIB / 16);
    assert_int_equal(purge_policy_ahead(&policy, 64 * MIB, 0), 4 * MIB);
}

/* So that it never makes a purge due. */
static void ahead_leaves_dirty_at_half_the_limit(void **state)
{
    (void)state;
    const struct purge_policy policy = by_default();
    assert_int_equal(purge_policy_ahead(&policy, 4 * MIB, 0), 256 * KIB);
    assert_int_equal(purge_policy_ahead(&policy, 4 * MIB, 200 * KIB), 56 * KIB);
    assert_int_equal(purge_policy_ahead(&policy, 4 * MIB, 256 * KIB), 0);
    assert_int_equal(purge_policy_ahead(&policy, 4 * MIB, 100 * MIB), 0);
    const struct purge_policy none = configured(0);
    assert_int_equal(purge_policy_ahead(&none, 100 * MIB, 0), 0);
    const struct purge_policy little = configured(64 * KIB);
    assert_int_equal(purge_policy_ahead(&little, 100 * MIB, 4 * KIB), 28 * KIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_limit_is_an_eighth_of_what_is_live),
        cmocka_unit_test(nothing_is_due_up_to_the_limit),
        cmocka_unit_test(batch_goes_down_to_half_the_limit),
        cmocka_unit_test(configured_limit_stands),
        cmocka_unit_test(limit_of_zero_purges_at_once),
        cmocka_unit_test(steady_load_never_enters_the_kernel),
        cmocka_unit_test(limit_does_not_outgrow_the_peak),
        cmocka_unit_test(batch_that_is_half_retaken_doubles_the_limit),
        cmocka_unit_test(limit_returns_when_nothing_is_retaken),
        cmocka_unit_test(receding_load_has_half_the_limit),
        cmocka_unit_test(burst_is_given_back),
        cmocka_unit_test(old_peak_is_forgotten),
        cmocka_unit_test(ahead_is_a_sixteenth_of_what_is_live),
        cmocka_unit_test(ahead_leaves_dirty_at_half_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
