/* SPDX-License-Identifier: ISC */
#include "pages/registry.h"

#include <errno.h>

static struct registry_leaf *leaf_of(struct registry *registry, struct bookkeeping *bookkeeping,
                                     uint64_t granule)
{
    _Atomic(struct registry_leaf *) *place = &registry->leaves[granule >> REGISTRY_LEAF_BITS];
    struct registry_leaf *leaf = atomic_load_explicit(place, memory_order_relaxed);
    if (leaf == NULL) {
        leaf = bookkeeping_take(bookkeeping, sizeof(*leaf));
        atomic_store_explicit(place, leaf, memory_order_release);
    }
    return leaf;
}

int registry_add(struct registry *registry, struct bookkeeping *bookkeeping, struct region *region,
                 uintptr_t start, size_t size)
{
    uint64_t first = (uint64_t)start >> REGISTRY_GRANULE_SHIFT;
    uint64_t last = ((uint64_t)start + size - 1) >> REGISTRY_GRANULE_SHIFT;
    if (last >> (REGISTRY_ADDRESS_BITS - REGISTRY_GRANULE_SHIFT) != 0) {
        return -ENOMEM;
    }
    for (uint64_t granule = first; granule <= last; granule++) {
        if (leaf_of(registry, bookkeeping, granule) == NULL) {
            return -ENOMEM;
        }
    }
    for (uint64_t granule = first; granule <= last; granule++) {
        struct registry_leaf *leaf = leaf_of(registry, bookkeeping, granule);
        atomic_store_explicit(&leaf->regions[granule % REGISTRY_LEAF_SIZE], region,
                              memory_order_release);
    }
    return 0;
}
