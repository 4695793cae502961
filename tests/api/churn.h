/* SPDX-License-Identifier: ISC */
/*
 * Threads that allocate, check, resize and free at random, some of it from each other, until they
 * are told to stop. What a buffer should hold is known from its first byte, so a mix-up is seen.
 */
#ifndef SECURE_MALLOC_TESTS_API_CHURN_H
#define SECURE_MALLOC_TESTS_API_CHURN_H

#include <stdbool.h>
#include <stddef.h>

enum { CHURN_THREADS_MAX = 8 };

/* Returns when each has taken its first buffer. zeroized: somebody wipes the buffers meanwhile, so
 * a byte may also be 0. */
void churn_start(size_t wanted, bool zeroized);

/* Waits for the threads, which free all that they have. Returns how many buffers there were. */
size_t churn_stop(void);

#endif
