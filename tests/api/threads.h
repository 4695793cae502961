/* SPDX-License-Identifier: ISC */
/* The parts of api.threads. */
#ifndef SECURE_MALLOC_TESTS_API_THREADS_H
#define SECURE_MALLOC_TESTS_API_THREADS_H

/* For ten seconds. */
void threads_zeroize_from_a_handler(void *context);

#endif
