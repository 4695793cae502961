/* SPDX-License-Identifier: ISC */
/*
 * Spares: large runs that a thread keeps for its next buffers of their sizes. A buffer that is
 * freed and allocated anew in a loop then costs no mutex and none of the pages layer's work, which
 * for 16 KiB is as much as wiping them.
 *
 * A spare is what a slot in a magazine is: wiped, its record 0, nobody's, and still held for the
 * pages layer. Spares share the magazines' room, and go back when magazines do. There are none if
 * the program has said how many bytes of free pages may stay in RAM.
 */
#ifndef SECURE_MALLOC_HEAP_SPARE_H
#define SECURE_MALLOC_HEAP_SPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "heap/heap.h"

struct cache;
struct large;

enum { SPARES_MAX = 8, SPARE_BYTES_MAX = 256 * 1024 };

/* A run on its way between a thread's spares, or the pages layer, and a buffer. */
struct spare {
    char *start;
    struct large *large; /* knows how many pages they are */
};

/* Written by its thread alone. */
struct spares {
    struct spare kept[SPARES_MAX];
    counter count;
    counter bytes;  /* of all of them */
    uint64_t room;  /* how many bytes there may be; under caches_mutex */
    size_t refused; /* so much room was not to be had, since the last flush; 0: not yet */
    bool used;      /* since idle ones were last looked for */
};

/* A run of exactly so many pages; start NULL: this thread keeps none. */
struct spare spare_take(const struct heap *heap, size_t count);

/* Keeps a run; false: there is no room, and it must go back. */
bool spare_put(struct heap *heap, const struct region *region, size_t first_page,
               struct spare spare);

/* All of them go back, and their room. */
void spares_empty(struct heap *heap, struct cache *cache);

/* Those that were not used since the last time do. */
void spares_empty_idle(struct heap *heap, struct cache *cache);

#endif
