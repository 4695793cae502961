/* SPDX-License-Identifier: ISC */
/*
 * How keyd_scan ends: with a line that says why. Whatever was started or made is taken away first,
 * by the function that was set for that.
 */
#ifndef TESTS_EXAMPLES_VERDICT_H
#define TESTS_EXAMPLES_VERDICT_H

/* test: as ctest calls it. clean_up: called once, at the end. */
void verdict_init(const char *test, void (*clean_up)(void));

_Noreturn void verdict_pass(void);
_Noreturn void verdict_fail(const char *when, const char *what);
_Noreturn void verdict_skip(const char *reason);

#endif
