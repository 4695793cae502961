/* SPDX-License-Identifier: ISC */
/* Looking at every slab: for secure_zeroize, for a forked child, for validation. */
#include "base/check.h"
#include "base/wipe.h"
#include "heap/slab.h"

void slab_visit_all(struct heap *heap, slab_visit *visit, void *context)
{
    struct region *region = atomic_load_explicit(&heap->pages.regions, memory_order_acquire);
    for (; region != NULL; region = atomic_load_explicit(&region->next, memory_order_relaxed)) {
        if (region->kind != REGION_SLABS) {
            continue;
        }
        size_t high = atomic_load_explicit(&region->high, memory_order_acquire);
        for (size_t page = 0; page < high; page++) {
            uint32_t entry = atomic_load_explicit(&region->entries[page], memory_order_acquire);
            if ((entry & ENTRY_SLAB) != 0 && entry_index(entry) == 0) {
                visit(heap, region, page, entry_class(entry), context);
            }
        }
    }
}

static void recover_slot(struct heap *heap, struct slab *slab, struct slot slot, uint32_t index)
{
    const struct size_class *c = &heap->classes.at[slab->class];
    uint64_t bit = UINT64_C(1) << (index % SLAB_MAP_BITS);
    if ((slab->free_map[index / SLAB_MAP_BITS] & bit) != 0) {
        return;
    }
    /* Written to only if it must be: the page is still shared with the parent. */
    if (!wipe_slot_holds(slot.start, c->slot_size)) {
        wipe(slot.start, c->slot_size);
    }
    slab_put(heap, slab->class, &slot, 1);
}

static void recover_slab(struct heap *heap, struct region *region, size_t first_page,
                         uint32_t class, void *context)
{
    const struct size_class *c = &heap->classes.at[class];
    (void)context;
    for (uint32_t i = 0; i < c->slots; i++) {
        /* The last free slot gives the slab back, and its description is zero then. */
        struct slab *slab = slab_at(heap, region, first_page);
        if (slab->region == NULL) {
            return;
        }
        struct slot slot = slab_slot(heap, region, first_page, class, i);
        uint16_t record = atomic_load_explicit(slot.record, memory_order_relaxed);
        if (record == 0) {
            recover_slot(heap, slab, slot, i);
        } else {
            counter_add(&heap->slabs[class].live_bytes, slot_record_size(record));
        }
    }
}

void slab_recover_all(struct heap *heap)
{
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        counter_set(&heap->slabs[class].live_bytes, 0);
    }
    slab_visit_all(heap, recover_slab, NULL);
}

/* ---- validation ---- */

static void validate_slab(struct heap *heap, struct region *region, size_t first_page,
                          uint32_t class, void *context)
{
    const struct size_class *c = &heap->classes.at[class];
    struct slab *slab = slab_at(heap, region, first_page);
    uint32_t bits = 0;
    if (class != *(uint32_t *)context) {
        return;
    }
    REQUIRE(slab->region == region && slab->first_page == first_page && slab->class == class);
    for (uint32_t i = 0; i < c->slots; i++) {
        if ((slab->free_map[i / SLAB_MAP_BITS] >> (i % SLAB_MAP_BITS) & 1) != 0) {
            slot_record *record = slab_slot(heap, region, first_page, class, i).record;
            bits++;
            REQUIRE(atomic_load_explicit(record, memory_order_relaxed) == 0);
        }
    }
    REQUIRE(bits == slab->free_slots && bits < c->slots);
    REQUIRE(bits == 0 || slab->bin == slab_bin(c, slab->bin / SLAB_BINS, bits));
}

void slab_validate(struct heap *heap, uint32_t class)
{
    mutex_lock(&heap->slabs[class].mutex);
    slab_visit_all(heap, validate_slab, &class);
    mutex_unlock(&heap->slabs[class].mutex);
}
