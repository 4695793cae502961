/* SPDX-License-Identifier: ISC */
/* Is the heap well, whatever it went through? And something for it to go through. */
#ifndef SECURE_MALLOC_TESTS_API_WELL_H
#define SECURE_MALLOC_TESTS_API_WELL_H

#include <secure_malloc.h>
#include <stddef.h>

/*
 * The counters add up, what they say of locks is what the kernel says, and no live byte lies where
 * it should not. No other thread may be inside the library.
 */
void check_well(void);

/* The same but for live bytes that could not be locked, which were counted: best effort. */
void check_well_but_unlocked(void);

struct secure_stats stats_now(void);
struct secure_audit audit_now(void);

/* Allocates about so many bytes of all sizes, writes, reads, resizes, and frees them in another
 * order. No two secrets in the same place, nothing handed out that is not zero. */
void use_heap(size_t bytes);

#endif
