/* SPDX-License-Identifier: ISC */
/*
 * Which region does an address lie in? Two tables, like a page table: the first by the top bits of
 * the address, its leaves by granules of 1 MiB. No two regions share a granule, since a region
 * starts on one. Lookups take no mutex and touch only the tables, so any address may be asked
 * about; nothing is ever removed.
 */
#ifndef SECURE_MALLOC_PAGES_REGISTRY_H
#define SECURE_MALLOC_PAGES_REGISTRY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "pages/bookkeeping.h"

/* 48 bits of address: user space on every Linux, unless mmap is asked for more by a hint, which we
 * never give. 2^14 leaves of 2^14 granules. */
enum {
    REGISTRY_GRANULE_SHIFT = 20,
    REGISTRY_LEAF_BITS = 14,
    REGISTRY_ROOT_BITS = 14,
    REGISTRY_LEAF_SIZE = 1 << REGISTRY_LEAF_BITS,
    REGISTRY_ROOT_SIZE = 1 << REGISTRY_ROOT_BITS,
    REGISTRY_GRANULE = 1 << REGISTRY_GRANULE_SHIFT,
    REGISTRY_ADDRESS_BITS = REGISTRY_GRANULE_SHIFT + REGISTRY_LEAF_BITS + REGISTRY_ROOT_BITS
};

struct region;

struct registry_leaf {
    _Atomic(struct region *) regions[REGISTRY_LEAF_SIZE];
};

struct registry {
    _Atomic(struct registry_leaf *) leaves[REGISTRY_ROOT_SIZE];
};

INLINE struct region *registry_find(const struct registry *registry, const void *pointer)
{
    uint64_t granule = (uint64_t)(uintptr_t)pointer >> REGISTRY_GRANULE_SHIFT;
    uint64_t root = granule >> REGISTRY_LEAF_BITS;
    if (UNLIKELY(root >= REGISTRY_ROOT_SIZE)) {
        return NULL;
    }
    struct registry_leaf *leaf =
        atomic_load_explicit(&registry->leaves[root], memory_order_acquire);
    if (UNLIKELY(leaf == NULL)) {
        return NULL;
    }
    return atomic_load_explicit(&leaf->regions[granule % REGISTRY_LEAF_SIZE], memory_order_acquire);
}

/* Makes [start, start + size) belong to the region: all of it or, on -ENOMEM, none. The caller
 * serialises. */
int registry_add(struct registry *registry, struct bookkeeping *bookkeeping, struct region *region,
                 uintptr_t start, size_t size);

#endif
