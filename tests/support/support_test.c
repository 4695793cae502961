/* SPDX-License-Identifier: ISC */
/* A harness that lets everything pass looks like a library without faults: so it is tested first.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/cmocka.h"
#include "support/death.h"
#include "support/limits.h"
#include "support/seccomp.h"
#include "support/skip.h"

static void say(const char *text)
{
    const ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

static void say_and_abort(void *context)
{
    say("first line\nlibrary: fatal: reason: 0x1\n");
    (void)context;
    abort();
}

static void touch_nothing_mapped(void *context)
{
    (void)context;
    volatile char *page = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = 1;
}

static void leave_early(void *context)
{
    child_exit(*(const int *)context);
}

static void say_much(void *context)
{
    (void)context;
    char line[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n";
    for (int i = 0; i < 4096; i++) {
        say(line);
    }
}

static void return_quietly(void *context)
{
    (void)context;
}

static void death_has_signal_and_text(void **state)
{
    (void)state;
    assert_death(say_and_abort, SIGABRT, "library: fatal: reason: 0x");
    assert_death(touch_nothing_mapped, SIGSEGV, NULL);
}

static void text_counts_from_the_start_of_a_line(void **state)
{
    (void)state;
    struct child_end end;
    child_run(&end, say_and_abort, NULL);
    assert_true(child_said(&end, "first"));
    assert_true(child_said(&end, "library: fatal: reason: 0x1\n"));
    assert_false(child_said(&end, "fatal: reason"));
    assert_false(child_said(&end, "another"));
}

static void exit_status_comes_back(void **state)
{
    (void)state;
    int status = 3;
    struct child_end end;
    child_run(&end, leave_early, &status);
    assert_int_equal(end.signal, 0);
    assert_int_equal(end.exit_status, 3);
    assert_survives(return_quietly);
}

static void long_text_is_cut_and_does_not_block(void **state)
{
    (void)state;
    struct child_end end;
    child_run(&end, say_much, NULL);
    assert_int_equal(end.signal, 0);
    assert_int_equal(strlen(end.text), sizeof(end.text) - 1);
}

/* What follows runs in children: a filter or a limit does not come off again. */

static void page_refuses_advice(void *context)
{
    (void)context;
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (filter_madvise(MADV_DONTNEED, EINVAL) != 0) {
        child_exit(SKIP_EXIT_CODE);
    }
    errno = 0;
    if (madvise(page, size, MADV_DONTNEED) != -1 || errno != EINVAL) {
        child_exit(1);
    }
    if (madvise(page, size, MADV_NORMAL) != 0) {
        child_exit(2);
    }
}

static void two_filters_add_up(void *context)
{
    (void)context;
    if (filter_syscall(SYS_mlock2, ENOSYS) != 0 || filter_syscall(SYS_munlock, EPERM) != 0) {
        child_exit(SKIP_EXIT_CODE);
    }
    if (syscall(SYS_mlock2, 0, 0, 0) != -1 || errno != ENOSYS) {
        child_exit(1);
    }
    /* By number: the sanitizers make the function do nothing. */
    if (syscall(SYS_munlock, 0, 0) != -1 || errno != EPERM) {
        child_exit(2);
    }
}

static void check_filtered(child_body *body)
{
    struct child_end end;
    child_run(&end, body, NULL);
    if (end.signal == 0 && end.exit_status == SKIP_EXIT_CODE) {
        skip_test("this kernel has no seccomp filters");
    }
    assert_int_equal(end.signal, 0);
    assert_int_equal(end.exit_status, 0);
}

static void filter_refuses_what_it_names_alone(void **state)
{
    (void)state;
    check_filtered(page_refuses_advice);
    check_filtered(two_filters_add_up);
}

static void lock_limit_binds(void *context)
{
    (void)context;
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *pages = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (limits_set_memlock(size) != 0 || limits_has_ipc_lock()) {
        child_exit(1);
    }
    if (syscall(SYS_mlock, pages, size) != 0) {
        child_exit(2);
    }
    if (syscall(SYS_mlock, pages, 2 * size) != -1 || errno != ENOMEM) {
        child_exit(3);
    }
}

static void limit_holds_for_root_too(void **state)
{
    (void)state;
    assert_survives(lock_limit_binds);
}

static void nobody_is_nobody(void *context)
{
    (void)context;
    if (limits_become_nobody() != 0) {
        child_exit(1);
    }
    if (getuid() != LIMITS_NOBODY || getgid() != LIMITS_NOBODY || limits_has_ipc_lock()) {
        child_exit(2);
    }
    if (setuid(0) == 0) {
        child_exit(3);
    }
}

static void root_becomes_nobody(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip_test("only root can change users");
    }
    assert_survives(nobody_is_nobody);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(death_has_signal_and_text),
        cmocka_unit_test(text_counts_from_the_start_of_a_line),
        cmocka_unit_test(exit_status_comes_back),
        cmocka_unit_test(long_text_is_cut_and_does_not_block),
        cmocka_unit_test(filter_refuses_what_it_names_alone),
        cmocka_unit_test(limit_holds_for_root_too),
        cmocka_unit_test(root_becomes_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
