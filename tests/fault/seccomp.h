/* SPDX-License-Identifier: ISC */
/* The parts of fault.seccomp. */
#ifndef SECURE_MALLOC_TESTS_FAULT_SECCOMP_H
#define SECURE_MALLOC_TESTS_FAULT_SECCOMP_H

/* Advice that older headers do not name. */
enum { ADVICE_DONTNEED_LOCKED = 24, ADVICE_GUARD_INSTALL = 102 };

/* Runs its tests, and returns how many failed. */
int seccomp_advice(void);

/* After a filter was asked for: the test is skipped where there are no filters. */
void must_be_filtered(int result);

#endif
