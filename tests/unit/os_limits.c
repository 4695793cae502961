/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/os.h"
#include "unit/expect.h"

static void page_size_is_the_kernel_s(void **state)
{
    (void)state;
    const size_t page = os_page_size();
    assert_int_equal(page, getpagesize());
    assert_true(page >= 4096 && (page & (page - 1)) == 0);
}

static void ask_as_user(void *context)
{
    const uint64_t bytes = *(const uint64_t *)context;
    expect_lock_limit(bytes == UINT64_MAX ? RLIM_INFINITY : (rlim_t)bytes);
    errno = ERANGE;
    EXPECT(os_lock_limit() == bytes);
    EXPECT(errno == ERANGE);
}

static void limit_is_what_the_user_may_lock(void **state)
{
    (void)state;
    uint64_t limits[] = {64 * 1024, 12345, 0};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        expect_child(ask_as_user, &limits[i]);
    }
}

static void default_limit_is_found(void **state)
{
    (void)state;
    uint64_t limit = 8 * 1024 * 1024;
    expect_child(ask_as_user, &limit);
}

static void unlimited_is_no_limit(void **state)
{
    (void)state;
    uint64_t none = UINT64_MAX;
    expect_child(ask_as_user, &none);
}

static void ask_with_and_without_right(void *context)
{
    (void)context;
    if (!limits_has_ipc_lock()) {
        expect_skip("needs CAP_IPC_LOCK");
    }
    EXPECT(limits_set(RLIMIT_MEMLOCK, 4096) == 0);
    EXPECT(os_lock_limit() == UINT64_MAX);
    EXPECT(limits_drop_ipc_lock() == 0);
    EXPECT(os_lock_limit() == 4096); /* root all the same */
}

static void right_to_lock_lifts_the_limit(void **state)
{
    (void)state;
    expect_child(ask_with_and_without_right, NULL);
}

static void ask_twice(void *context)
{
    (void)context;
    expect_lock_limit(64 * 1024);
    EXPECT(os_lock_limit() == 64 * 1024);
    EXPECT(limits_set(RLIMIT_MEMLOCK, 4096) == 0);
    EXPECT(os_lock_limit() == 4096);
}

static void limit_is_asked_for_each_time(void **state)
{
    (void)state;
    expect_child(ask_twice, NULL);
}

static void ask_in_sandbox(void *context)
{
    (void)context;
    expect_lock_limit(64 * 1024);
    expect_filter(filter_syscall(SYS_capget, EPERM));
    errno = ERANGE;
    EXPECT(os_lock_limit() == 64 * 1024);
    EXPECT(errno == ERANGE);
}

static void rights_that_cannot_be_asked_for_are_none(void **state)
{
    (void)state;
    expect_child(ask_in_sandbox, NULL);
}

static void yield_comes_back(void **state)
{
    (void)state;
    errno = ERANGE;
    os_yield();
    assert_int_equal(errno, ERANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_size_is_the_kernel_s),
        cmocka_unit_test(limit_is_what_the_user_may_lock),
        cmocka_unit_test(default_limit_is_found),
        cmocka_unit_test(unlimited_is_no_limit),
        cmocka_unit_test(right_to_lock_lifts_the_limit),
        cmocka_unit_test(limit_is_asked_for_each_time),
        cmocka_unit_test(rights_that_cannot_be_asked_for_are_none),
        cmocka_unit_test(yield_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
