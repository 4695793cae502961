/* SPDX-License-Identifier: ISC */
/*
 * Random numbers: a key from the kernel for the canaries, and a fast generator, seeded from it, for
 * the order of slots.
 */
#ifndef SECURE_MALLOC_BASE_RANDOM_H
#define SECURE_MALLOC_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

/* Fills from getrandom without ever blocking (early boot), else from the kernel's AT_RANDOM bytes,
 * mixed with what is at hand. Never fails. */
void random_fill(void *start, size_t size);

/* xoshiro256++: not a cipher; it hides the order of slots from a program's user, not from someone
 * who reads its memory. One owner. */
struct random {
    uint64_t state[4];
};

void random_seed(struct random *random);
uint64_t random_next(struct random *random);

/* Evenly distributed in [0, bound), bound > 0, for bounds far below 2^32. */
INLINE uint32_t random_below(struct random *random, uint32_t bound)
{
    return (uint32_t)(((random_next(random) >> 32) * bound) >> 32);
}

#endif
