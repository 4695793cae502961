/* SPDX-License-Identifier: ISC */
/* Checks within a child of child_run: there, cmocka's would jump back into the runner. */
#ifndef SECURE_MALLOC_TESTS_UNIT_EXPECT_H
#define SECURE_MALLOC_TESTS_UNIT_EXPECT_H

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/death.h"
#include "support/limits.h"
#include "support/seccomp.h"
#include "support/skip.h"

#define EXPECT(condition) ((condition) ? (void)0 : expect_failed(#condition, __FILE__, __LINE__))

static inline void expect_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
    fflush(stderr);
    child_exit(1);
}

/* The body came to its end, or said why it cannot run here. */
#define expect_child(body, context) expect_child_of(__func__, (body), (context))

static inline void expect_child_of(const char *test, child_body *body, void *context)
{
    struct child_end end;
    child_run(&end, body, context);
    if (end.signal == 0 && end.exit_status == SKIP_EXIT_CODE) {
        skip_say(test, end.text);
        skip();
    }
    if (end.signal != 0 || end.exit_status != CHILD_RETURNED) {
        print_error("signal %d, exit status %d, stderr \"%s\"\n", end.signal, end.exit_status,
                    end.text);
        fail();
    }
}

__attribute__((noreturn)) static inline void expect_skip(const char *reason)
{
    fputs(reason, stderr);
    fflush(stderr);
    child_exit(SKIP_EXIT_CODE);
}

/* A filter that must be there for the test to mean anything. */
static inline void expect_filter(int installed)
{
    if (installed != 0) {
        expect_skip("this kernel has no seccomp filters");
    }
}

/* A user without rights, who may lock this much. */
static inline void expect_lock_limit(rlim_t bytes)
{
    if (limits_set(RLIMIT_MEMLOCK, bytes) != 0 || (geteuid() == 0 && limits_become_nobody() != 0)) {
        expect_skip("RLIMIT_MEMLOCK cannot be raised to what the test needs");
    }
}

/* A test of many locks in one process: 64 KiB of 4 KiB pages. */
static inline void expect_pages_to_lock(const char *program, size_t page_size)
{
    if (!limits_need_memlock(16 * page_size)) {
        skip_program(program, "needs 16 pages of RLIMIT_MEMLOCK");
    }
}

#endif
