/* SPDX-License-Identifier: ISC */
#include "api/child.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/limits.h"
#include "support/skip.h"

__attribute__((noreturn)) void child_check_failed(const char *condition, const char *file, int line)
{
    dprintf(STDERR_FILENO, "%s:%d: does not hold: %s (errno %d)\n", file, line, condition, errno);
    child_exit(1);
}

void child_check_equal(unsigned long long a, unsigned long long b, const char *condition,
                       const char *file, int line)
{
    if (a != b) {
        dprintf(STDERR_FILENO, "%s:%d: %s: %llu and %llu\n", file, line, condition, a, b);
        child_exit(1);
    }
}

__attribute__((noreturn)) void child_skip(const char *reason)
{
    dprintf(STDERR_FILENO, "%s", reason);
    child_exit(SKIP_EXIT_CODE);
}

void child_needs_to_lock(unsigned kib)
{
    if (!limits_need_memlock((uint64_t)kib * 1024)) {
        char reason[64];
        snprintf(reason, sizeof(reason), "needs to lock %u KiB", kib);
        child_skip(reason);
    }
}

void child_needs_to_lock_the_process(void)
{
    if (SANITIZED) {
        child_skip("mlockall would lock the sanitizers' shadow");
    }
    child_needs_to_lock(256 << 10);
}

void child_must_survive(const char *name, child_body *body, void *context)
{
    struct child_end end;
    child_run(&end, body, context);
    if (end.signal == 0 && end.exit_status == SKIP_EXIT_CODE) {
        skip_say(name, end.text);
        skip();
    }
    if (end.signal != 0 || end.exit_status != CHILD_RETURNED || end.text[0] != '\0') {
        print_error("%s: signal %d, exit status %d, stderr \"%s\"\n", name, end.signal,
                    end.exit_status, end.text);
        fail();
    }
}

void child_test_run(void **state)
{
    const struct child_test *test = *state;
    child_must_survive(test->name, test->body, NULL);
}

void child_wait(int pid)
{
    int status = 0;
    CHECK(pid > 0);
    while (waitpid(pid, &status, 0) < 0) {
        CHECK(errno == EINTR);
    }
    CHECK_EQUAL(status, 0);
}

void *unknown(void *pointer)
{
    void *volatile hidden = pointer;
    return hidden;
}
