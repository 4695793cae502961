/* SPDX-License-Identifier: ISC */
#include "base/random.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include "unit/expect.h"

enum { SIZE = 200 };

/* In 40 fills a byte that is written is zero in each of them once in 2^320. */
static void fill_reaches_each_byte_and_no_other(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 130; size++) {
        unsigned char seen[SIZE] = {0};
        for (int round = 0; round < 40; round++) {
            unsigned char bytes[SIZE] = {0};
            random_fill(bytes, size);
            for (size_t i = 0; i < SIZE; i++) {
                seen[i] |= bytes[i];
            }
        }
        for (size_t i = 0; i < SIZE; i++) {
            assert_int_equal(seen[i] != 0, i < size);
        }
    }
}

static void fill_differs_each_time_and_keeps_errno(void **state)
{
    (void)state;
    unsigned char first[32];
    unsigned char second[32];
    errno = ERANGE;
    random_fill(first, sizeof(first));
    random_fill(second, sizeof(second));
    assert_int_equal(errno, ERANGE);
    assert_memory_not_equal(first, second, sizeof(first));
}

static bool holds_given_bytes(const unsigned char *bytes, size_t size)
{
    const unsigned char *given = (const unsigned char *)getauxval(AT_RANDOM);
    for (size_t at = 0; at + 8 <= size; at++) {
        if (memcmp(bytes + at, given, 8) == 0 || memcmp(bytes + at, given + 8, 8) == 0) {
            return true;
        }
    }
    return false;
}

static void fill_without_getrandom(void *context)
{
    unsigned char first[SIZE] = {0};
    unsigned char second[SIZE] = {0};
    expect_filter(filter_syscall(SYS_getrandom, *(const int *)context));
    errno = ERANGE;
    random_fill(first, sizeof(first));
    random_fill(second, sizeof(second));
    EXPECT(errno == ERANGE);
    for (size_t at = 0; at + 8 <= SIZE; at += 8) {
        for (size_t other = 0; other + 8 <= SIZE; other += 8) {
            EXPECT(memcmp(first + at, second + other, 8) != 0);
            EXPECT(at == other || memcmp(first + at, first + other, 8) != 0);
        }
    }
    EXPECT(!holds_given_bytes(first, sizeof(first)) && !holds_given_bytes(second, sizeof(second)));
}

static void fill_does_without_getrandom(void **state)
{
    (void)state;
    int errors[] = {ENOSYS, EAGAIN, EPERM}; /* no such call, early boot, a sandbox */
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        expect_child(fill_without_getrandom, &errors[i]);
    }
}

/* The numbers of the authors' own program for this state. */
static void generator_is_xoshiro256_plus_plus(void **state)
{
    (void)state;
    static const uint64_t expected[] = {
        UINT64_C(41943041),
        UINT64_C(58720359),
        UINT64_C(3588806011781223),
        UINT64_C(3591011842654386),
        UINT64_C(9228616714210784205),
        UINT64_C(9973669472204895162),
    };
    struct random random = {.state = {1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_int_equal(random_next(&random), expected[i]);
    }
}

static void seeds_differ(void **state)
{
    (void)state;
    struct random first;
    struct random second;
    random_seed(&first);
    random_seed(&second);
    assert_memory_not_equal(&first, &second, sizeof(first));
    assert_true(first.state[0] != 0 || first.state[1] != 0);
}

static void numbers_below_a_bound_are_evenly_spread(void **state)
{
    (void)state;
    enum { BOUND = 7, ROUNDS = 70000 };
    struct random random = {.state = {1, 2, 3, 4}};
    unsigned count[BOUND] = {0};
    for (int i = 0; i < ROUNDS; i++) {
        const uint32_t number = random_below(&random, BOUND);
        assert_true(number < BOUND);
        count[number]++;
    }
    for (size_t i = 0; i < BOUND; i++) {
        assert_in_range(count[i], ROUNDS / BOUND - 500, ROUNDS / BOUND + 500);
    }
    assert_int_equal(random_below(&random, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fill_reaches_each_byte_and_no_other),
        cmocka_unit_test(fill_differs_each_time_and_keeps_errno),
        cmocka_unit_test(fill_does_without_getrandom),
        cmocka_unit_test(generator_is_xoshiro256_plus_plus),
        cmocka_unit_test(seeds_differ),
        cmocka_unit_test(numbers_below_a_bound_are_evenly_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
