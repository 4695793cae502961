/* SPDX-License-Identifier: ISC */
/*
 * A test that cannot run here says so in one line, "SKIP: <test>: <reason>", which tests/run.sh
 * shows and .ci/run compares with tests/skips.txt. A silent skip looks like a pass.
 */
#ifndef SECURE_MALLOC_TESTS_SUPPORT_SKIP_H
#define SECURE_MALLOC_TESTS_SUPPORT_SKIP_H

#include <stdio.h>
#include <stdlib.h>

#include "support/cmocka.h"

enum { SKIP_EXIT_CODE = 77 };

/* Within a cmocka test function: this test is skipped, the program's other tests run. */
#define skip_test(reason)                                                                          \
    do {                                                                                           \
        skip_say(__func__, (reason));                                                              \
        skip();                                                                                    \
    } while (0)

/* Outside of cmocka: the whole program is skipped. name: as ctest calls it, "api.contract". */
#define skip_program(name, reason)                                                                 \
    do {                                                                                           \
        skip_say((name), (reason));                                                                \
        exit(SKIP_EXIT_CODE);                                                                      \
    } while (0)

static inline void skip_say(const char *name, const char *reason)
{
    printf("SKIP: %s: %s\n", name, reason);
    fflush(stdout);
}

#endif
