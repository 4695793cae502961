/* SPDX-License-Identifier: ISC */
/*
 * Size classes: multiples of 16 up to 272, then four a doubling, each 16 above its round number
 * (336, 400, 464, 528, 1040, 4112), so that a power of two and its canary fit without waste. They
 * end at four pages, or at 32,752 bytes so that a length fits a record. Behind them come the
 * aligned classes, 32 to 4096: powers of two, whose slots begin at their multiples; only
 * secure_aligned_alloc uses those, and only their slack may be longer than the step to the class
 * below.
 */
#ifndef SECURE_MALLOC_HEAP_SIZE_CLASS_H
#define SECURE_MALLOC_HEAP_SIZE_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

enum {
    SLOT_SHIFT = 4,
    SLOT_ALIGNMENT = 1 << SLOT_SHIFT,
    CANARY_MIN = 8,   /* bytes of slack at the least, */
    CANARY_WIDE = 16, /* and in ordinary slots above FINE_MAX */
    FINE_MAX = 272,   /* classes are multiples of 16 up to here */
    SLOT_SIZE_MAX = 32752,
    SLAB_PAGES_MAX = 8,
    ALIGNED_MIN = 32,
    ALIGNED_MAX = 4096,
    ALIGNED_FIRST = 45, /* the first aligned class: behind all that any page size has */
    CLASS_MAX = 53,
    MAGAZINE_SLOTS_MAX = 80,
    MAGAZINE_BYTES_MAX = 49152,
    MAGAZINE_SLOTS_MIN = 2
};

struct size_class {
    uint32_t slot_size;
    uint32_t slots;       /* in a slab */
    uint64_t reciprocal;  /* of slot_size, see slot_index */
    uint32_t pages;       /* of a slab */
    uint32_t magazine;    /* slots that a magazine holds */
    uint32_t bins_a_slot; /* see slab_bin */
    uint32_t cached;      /* slots in the magazines of all classes before it */
};

struct size_classes {
    struct size_class at[CLASS_MAX];
    uint32_t count;    /* of all classes; those between ordinary and ALIGNED_FIRST are not used */
    uint32_t ordinary; /* of those that secure_malloc uses, in ascending order */
    uint32_t cached;   /* slots in the magazines of all classes */
    size_t size_max;   /* the largest size that has a slot */
};

void size_classes_init(struct size_classes *classes, size_t page_size);

/* The class for a size of at most SLOT_SIZE_MAX - CANARY_WIDE. Where pages are small, the largest
 * of these are not used: their magazines are always empty. */
INLINE uint32_t size_class_of(size_t size)
{
    if (LIKELY(size <= FINE_MAX - CANARY_MIN)) {
        return (uint32_t)((size + CANARY_MIN - 1) / SLOT_ALIGNMENT);
    }
    /* The round number is the least (4 + i) << shift that is not below size. */
    size_t below = size - 1;
    uint32_t log = (uint32_t)(63 - __builtin_clzll((unsigned long long)below));
    uint32_t quarter = (uint32_t)(below >> (log - 2)) & 3;
    return FINE_MAX / SLOT_ALIGNMENT + 4 * (log - 8) + quarter;
}

/* The class whose slots are aligned so and hold size; CLASS_MAX: there is none. */
uint32_t size_class_aligned(const struct size_classes *classes, size_t alignment, size_t size);

/* offset / slot_size by a multiplication: exact for offsets within a slab (the error of the
 * reciprocal is below slot_size / 2^40, the offset below 2^19). */
enum { RECIPROCAL_SHIFT = 40, SLAB_BINS = 8, BINS_SHIFT = 16 };

INLINE uint32_t slot_index(const struct size_class *class, size_t offset)
{
    return (uint32_t)(((uint64_t)offset * class->reciprocal) >> RECIPROCAL_SHIFT);
}

#endif
