/* SPDX-License-Identifier: ISC */
/* How keyd_scan ends: see verdict.h. */
#include "verdict.h"

#include <stdio.h>
#include <stdlib.h>

enum { EXIT_SKIP = 77 };

static const char *test_name;
static void (*test_clean_up)(void);

void verdict_init(const char *test, void (*clean_up)(void))
{
    test_name = test;
    test_clean_up = clean_up;
}

static _Noreturn void end(int status)
{
    test_clean_up();
    exit(status);
}

_Noreturn void verdict_pass(void)
{
    end(EXIT_SUCCESS);
}

_Noreturn void verdict_fail(const char *when, const char *what)
{
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s: FAILED: %s: %s\n", test_name, when, what);
    end(EXIT_FAILURE);
}

_Noreturn void verdict_skip(const char *reason)
{
    (void)printf("SKIP: %s: %s\n", test_name, reason);
    end(EXIT_SKIP);
}
