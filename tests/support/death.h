/* SPDX-License-Identifier: ISC */
/*
 * Runs a function in a forked child and tells how the child ended and what it said on stderr.
 *
 * The child is not the test runner: cmocka's signal handlers, which would jump back into the
 * parent's tests, are reset, no core file is written, and it leaves by _exit, so that nothing that
 * is registered for the runner's exit runs twice.
 */
#ifndef SECURE_MALLOC_TESTS_SUPPORT_DEATH_H
#define SECURE_MALLOC_TESTS_SUPPORT_DEATH_H

#include <stdbool.h>
#include <stddef.h>

#include "support/cmocka.h"

typedef void child_body(void *context);

struct child_end {
    int signal;      /* the signal that ended it, or 0 */
    int exit_status; /* if signal is 0; CHILD_RETURNED when the body came back */
    char text[8192]; /* what it wrote to stderr, cut to fit, ended by a NUL */
};

enum { CHILD_RETURNED = 0, CHILD_TIMED_OUT = -1, CHILD_SECONDS = 30 };

/* Never fails: what cannot be done ends the test. A child that takes longer than CHILD_SECONDS is
 * killed; exit_status is CHILD_TIMED_OUT then. */
void child_run(struct child_end *end, child_body *body, void *context);

/* To leave the child early, with this exit status, from any depth. */
__attribute__((noreturn)) void child_exit(int status);

/* Does a line of the child's stderr begin with this? */
bool child_said(const struct child_end *end, const char *beginning);

/* The child dies of this signal, and a line of its stderr begins so. NULL: it says nothing. */
#define assert_death(body, signal, beginning)                                                      \
    death_check((body), NULL, (signal), (beginning), __FILE__, __LINE__)
#define assert_death_with(body, context, signal, beginning)                                        \
    death_check((body), (context), (signal), (beginning), __FILE__, __LINE__)

/* The child comes to its end (or calls child_exit(0)) and says nothing on stderr. */
#define assert_survives(body) death_check((body), NULL, 0, NULL, __FILE__, __LINE__)
#define assert_survives_with(body, context)                                                        \
    death_check((body), (context), 0, NULL, __FILE__, __LINE__)

void death_check(child_body *body, void *context, int signal, const char *beginning,
                 const char *file, int line);

#endif
