/* SPDX-License-Identifier: ISC */
/*
 * Memory for what the library must remember: registry leaves, the caches of threads. Zero when
 * handed out, between inaccessible pages, left out of core files, not locked (it holds no secret),
 * and never given back, so that who reads it without a mutex can never fault.
 */
#ifndef SECURE_MALLOC_PAGES_BOOKKEEPING_H
#define SECURE_MALLOC_PAGES_BOOKKEEPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/mutex.h"

/* At the start of each reservation. */
struct bookkeeping_reservation {
    struct bookkeeping_reservation *next;
    size_t size; /* guards included */
};

struct bookkeeping {
    struct mutex mutex; /* a leaf: nothing is taken under it */
    size_t page_size;
    char *next;       /* the first byte that is not handed out */
    char *opened;     /* the end of what is readable and writable */
    char *end;        /* the end of what is reserved; a guard follows */
    counter reserved; /* bytes of address space, in all */
    struct bookkeeping_reservation *reservations;
};

void bookkeeping_init(struct bookkeeping *bookkeeping, size_t page_size);

/* Is any of [start, end) in a reservation? */
bool bookkeeping_overlap(struct bookkeeping *bookkeeping, uintptr_t start, uintptr_t end);

/* After mlockall: takes the lock off. */
void bookkeeping_unlock(struct bookkeeping *bookkeeping);

/* Aligned to a cache line. NULL: no memory. */
void *bookkeeping_take(struct bookkeeping *bookkeeping, size_t size);

#endif
