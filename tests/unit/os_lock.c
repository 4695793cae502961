/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "os/os.h"
#include "unit/expect.h"
#include "unit/os_view.h"

enum { PAGES = 8, FILLED = 0xa5, ADVICE_COLD = 20 };

static size_t page;
static size_t size;

static int find_page_size(void **state)
{
    (void)state;
    page = os_page_size();
    size = PAGES * page;
    return 0;
}

static char *mapped(size_t bytes, int protection)
{
    char *start = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return start != MAP_FAILED ? start : NULL;
}

static char *writable(void)
{
    return mapped(size, PROT_READ | PROT_WRITE);
}

static void locked_pages_are_charged_and_not_populated(void **state)
{
    (void)state;
    const unsigned long charged = view_charged();
    char *start = writable();
    start[page] = 1;
    errno = ERANGE;
    assert_int_equal(os_pages_lock(start, size), 0);
    assert_int_equal(errno, ERANGE);
    assert_true(view_is_locked_on_fault(start));
    assert_int_equal(view_of(start).resident, page);
    assert_int_equal(view_charged(), charged + size);
    assert_int_equal(os_pages_lock(start, size), 0);
    assert_int_equal(view_charged(), charged + size); /* once */

    assert_int_equal(os_pages_unlock(start, size), 0);
    assert_false(view_is_locked(start));
    assert_int_equal(view_charged(), charged);
    assert_int_equal(start[page], 1);
    munmap(start, size);
}

/* The kernel locks what is in front of the hole before it finds the hole. */
static void lock_that_fails_halfway_leaves_nothing_charged(void **state)
{
    (void)state;
    const unsigned long charged = view_charged();
    char *start = writable();
    assert_int_equal(munmap(start + 4 * page, page), 0);
    assert_int_equal(os_pages_lock(start, size), -ENOMEM);
    assert_false(view_is_locked(start));
    assert_false(view_is_locked(start + 5 * page));
    assert_int_equal(view_charged(), charged);
    munmap(start, size);
}

static void lock_at_no_right(void *context)
{
    (void)context;
    char *start = writable();
    expect_lock_limit(0);
    errno = ERANGE;
    EXPECT(os_pages_lock(start, size) == -EPERM);
    EXPECT(errno == ERANGE && view_charged() == 0);
    EXPECT(os_pages_unlock(start, size) == 0);
    EXPECT(os_process_lock() == -EPERM);
}

struct limit {
    size_t bytes;
    bool without_mlock2;
};

static void lock_up_to_limit(void *context)
{
    const struct limit *limit = context;
    char *start = mapped(limit->bytes + page, PROT_READ | PROT_WRITE);
    char *other = writable();
    expect_lock_limit(limit->bytes);
    if (limit->without_mlock2) {
        expect_filter(filter_syscall(SYS_mlock2, ENOSYS));
    }
    EXPECT(os_pages_lock(start, limit->bytes + page) == -ENOMEM);
    EXPECT(view_charged() == 0 && !view_is_locked(start));
    EXPECT(os_pages_lock(start, limit->bytes) == 0);
    EXPECT(view_charged() == limit->bytes);
    EXPECT(os_pages_lock(other, page) == -ENOMEM);
    EXPECT(os_pages_unlock(start, page) == 0);
    EXPECT(os_pages_lock(other, page) == 0);
    EXPECT(view_charged() == limit->bytes);
}

static void no_right_to_lock_is_eperm(void **state)
{
    (void)state;
    expect_child(lock_at_no_right, NULL);
}

static void check_limit(const char *test, size_t bytes)
{
    struct limit limit = {bytes, false};
    expect_child_of(test, lock_up_to_limit, &limit);
    limit.without_mlock2 = true;
    expect_child_of(test, lock_up_to_limit, &limit);
}

static void limit_of_64_kib_holds_to_the_page(void **state)
{
    (void)state;
    check_limit(__func__, 64 * 1024);
}

static void limit_of_8_mib_holds_to_the_page(void **state)
{
    (void)state;
    check_limit(__func__, 8 * 1024 * 1024);
}

static void lock_under_filter(void *context)
{
    char *start = writable();
    start[0] = FILLED & 0x7f;
    expect_filter(filter_syscall(SYS_mlock2, *(const int *)context));
    errno = ERANGE;
    EXPECT(os_pages_lock(start, size) == 0);
    EXPECT(errno == ERANGE);
    EXPECT(view_is_locked(start) && !view_is_locked_on_fault(start));
    EXPECT(view_of(start).resident == size && view_charged() == size);
}

static void plain_mlock_does_where_mlock2_is_missing(void **state)
{
    (void)state;
    int errors[] = {ENOSYS, EINVAL, EPERM};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        expect_child(lock_under_filter, &errors[i]);
    }
}

static void lock_guarded_under_filter(void *context)
{
    (void)context;
    char *start = writable();
    expect_filter(filter_syscall(SYS_mlock2, ENOSYS));
    if (!os_guard_install(start + 3 * page, page)) {
        expect_skip("this kernel has no guard pages (Linux 6.13)");
    }
    EXPECT(os_pages_lock(start, size) == 0); /* the kernel says ENOMEM */
    EXPECT(view_is_locked(start) && view_is_locked(start + size - 1));
    EXPECT(view_charged() == size);
    start[size - 1] = 1;

    /* The same answer means what it says where it is true. */
    char *other = writable();
    EXPECT(munmap(other + 4 * page, page) == 0);
    EXPECT(os_pages_lock(other, size) == -ENOMEM);
    EXPECT(view_charged() == size);

    expect_filter(filter_madvise(ADVICE_COLD, EINVAL)); /* cannot be asked: do not believe it */
    EXPECT(os_pages_lock(start, size) == -ENOMEM);
    EXPECT(view_charged() == 0);
}

static void plain_mlock_over_a_guard_is_believed_when_it_locked(void **state)
{
    (void)state;
    expect_child(lock_guarded_under_filter, NULL);
}

/* Locks are not inherited. */
static void relock_inherited(void *context)
{
    char *const *starts = context;
    EXPECT(view_charged() == 0);
    for (int access = OS_NO_ACCESS; access <= OS_READ_WRITE; access++) {
        char *start = starts[access];
        EXPECT(!view_is_locked(start));
        EXPECT(os_pages_relock(start, size, (enum os_access)access) == 0);
        EXPECT(view_is_locked_on_fault(start));
        EXPECT(view_of(start).access[0] == (access == OS_NO_ACCESS ? '-' : 'r'));
        EXPECT(view_of(start).access[1] == (access == OS_READ_WRITE ? 'w' : '-'));
    }
    EXPECT(view_charged() == 3 * size);
}

/* As kernels before 5.18, which cannot lock what is inaccessible: plain mlock cannot either. */
static void relock_inaccessible_the_long_way(void *context)
{
    char *start = *(char *const *)context;
    expect_filter(filter_syscall(SYS_mlock2, ENOSYS));
    expect_filter(filter_madvise(ADVICE_COLD, EINVAL));
    EXPECT(os_pages_relock(start, size, OS_NO_ACCESS) == 0);
    EXPECT(view_is_locked(start) && view_charged() == size);
    EXPECT(memcmp(view_of(start).access, "---p", 4) == 0);
    EXPECT(mprotect(start, size, PROT_READ) == 0);
    EXPECT(view_is_all(start, size, FILLED));
}

static void relock_over_limit(void *context)
{
    char *start = *(char *const *)context;
    expect_lock_limit(size - page);
    EXPECT(os_pages_relock(start, size, OS_NO_ACCESS) == -ENOMEM);
    EXPECT(view_charged() == 0);
    EXPECT(memcmp(view_of(start).access, "---p", 4) == 0);
}

static void child_relocks_whatever_the_access(void **state)
{
    (void)state;
    char *starts[] = {
        [OS_NO_ACCESS] = writable(), [OS_READ_ONLY] = writable(), [OS_READ_WRITE] = writable()};
    for (int access = OS_NO_ACCESS; access <= OS_READ_WRITE; access++) {
        memset(starts[access], FILLED, size);
        assert_int_equal(os_pages_protect(starts[access], size, (enum os_access)access), 0);
    }
    if (limits_need_memlock(3 * size)) {
        expect_child(relock_inherited, starts);
    }
    expect_child(relock_inaccessible_the_long_way, &starts[OS_NO_ACCESS]);
    expect_child(relock_over_limit, &starts[OS_NO_ACCESS]);
    for (int access = OS_NO_ACCESS; access <= OS_READ_WRITE; access++) {
        munmap(starts[access], size);
    }
}

static void lock_process(void *context)
{
    (void)context;
    if (!limits_has_ipc_lock()) {
        expect_skip("needs CAP_IPC_LOCK");
    }
    char *before = writable();
    EXPECT(os_process_lock() == 0);
    char *after = writable();
    EXPECT(view_is_locked_on_fault(before) && view_is_locked_on_fault(after));
    EXPECT(view_of(before).resident == 0 && view_of(after).resident == 0);
}

static void locked_process_is_locked_now_later_and_on_fault(void **state)
{
    (void)state;
    expect_child(lock_process, NULL);
}

static void lock_process_over_limit(void *context)
{
    (void)context;
    expect_lock_limit(64 * 1024);
    char *before = writable();
    EXPECT(os_process_lock() == -ENOMEM);
    char *after = writable();
    EXPECT(!view_is_locked(before) && !view_is_locked(after) && view_charged() == 0);
}

static void lock_process_in_sandbox(void *context)
{
    const int *error = context;
    expect_filter(filter_syscall(SYS_mlockall, *error));
    EXPECT(os_process_lock() == -EPERM);
    EXPECT(view_charged() == 0);
}

static void refused_process_lock_changes_nothing(void **state)
{
    (void)state;
    int errors[] = {ENOSYS, EINVAL, EPERM};
    expect_child(lock_process_over_limit, NULL);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        expect_child(lock_process_in_sandbox, &errors[i]);
    }
}

static void lock_past_the_end(void *context)
{
    (void)context;
    (void)os_pages_lock((void *)(UINTPTR_MAX - page + 1), 2 * page);
}

static void our_own_mistakes_are_fatal(void **state)
{
    (void)state;
    assert_death(lock_past_the_end, SIGABRT,
                 "secure_malloc: fatal: unexpected error 22 from mlock\n");
}

int main(void)
{
    expect_pages_to_lock("unit.os_lock", os_page_size());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(locked_pages_are_charged_and_not_populated),
        cmocka_unit_test(lock_that_fails_halfway_leaves_nothing_charged),
        cmocka_unit_test(no_right_to_lock_is_eperm),
        cmocka_unit_test(limit_of_64_kib_holds_to_the_page),
        cmocka_unit_test(limit_of_8_mib_holds_to_the_page),
        cmocka_unit_test(plain_mlock_does_where_mlock2_is_missing),
        cmocka_unit_test(plain_mlock_over_a_guard_is_believed_when_it_locked),
        cmocka_unit_test(child_relocks_whatever_the_access),
        cmocka_unit_test(locked_process_is_locked_now_later_and_on_fault),
        cmocka_unit_test(refused_process_lock_changes_nothing),
        cmocka_unit_test(our_own_mistakes_are_fatal),
    };
    return cmocka_run_group_tests(tests, find_page_size, NULL);
}
