/* SPDX-License-Identifier: ISC */
/*
 * Wiping every live secret, from anywhere, a signal handler included: no mutex, no waiting. A live
 * buffer is claimed by its record, so that it cannot be freed and recut meanwhile; the caller's
 * bytes are wiped, the canary is not. A buffer that is claimed already is passed over: another
 * secure_zeroize wipes it, or its holder does when it sees that heap->zeroized has moved on.
 */
#include "base/wipe.h"
#include "heap/large.h"
#include "heap/slab.h"

/* false: it is claimed. */
static bool zeroize_slot(const struct region *region, size_t page, uint32_t class, struct slot slot)
{
    slot_record *record = slot.record;
    uint16_t seen = atomic_load_explicit(record, memory_order_acquire);
    if (seen == 0) {
        return true;
    }
    if ((seen & SLOT_CLAIMED) != 0 ||
        !atomic_compare_exchange_strong_explicit(record, &seen, (uint16_t)(seen | SLOT_CLAIMED),
                                                 memory_order_acq_rel, memory_order_relaxed)) {
        return false;
    }
    /* The slab may have been given back and recut before the claim: this is another class's record
     * then, and zeroize_slab begins again. */
    uint32_t entry = atomic_load_explicit(&region->entries[page], memory_order_acquire);
    if (entry == entry_of(class)) {
        wipe_racing(slot.start, slot_record_size(seen));
    }
    atomic_store_explicit(record, seen, memory_order_release);
    return true;
}

static void zeroize_slab(struct heap *heap, struct region *region, size_t page, uint32_t class,
                         void *context)
{
    (void)context;
    for (;;) {
        for (uint32_t i = 0; i < heap->classes.at[class].slots; i++) {
            (void)zeroize_slot(region, page, class, slab_slot(heap, region, page, class, i));
        }
        uint32_t entry = atomic_load_explicit(&region->entries[page], memory_order_acquire);
        if (entry == entry_of(class) || (entry & ENTRY_SLAB) == 0 || entry_index(entry) != 0) {
            return;
        }
        class = entry_class(entry);
    }
}

static void zeroize_large(struct heap *heap, struct region *region, size_t page, void *context)
{
    (void)context;
    (void)large_zeroize(heap, region, page);
}

/* Under on_fork=drop a child has no data from the moment of its birth, but only the fork handler
 * lets the heap know. A signal may come before that. */
static bool is_gone(const struct heap *heap)
{
    return heap->pages.config.fork == OS_FORK_DROP &&
           atomic_load_explicit(&heap->owner, memory_order_relaxed) != os_process_id();
}

void heap_zeroize(struct heap *heap)
{
    if (is_gone(heap)) {
        return;
    }
    atomic_fetch_add_explicit(&heap->zeroizing, 1, memory_order_seq_cst);
    atomic_fetch_add_explicit(&heap->zeroized, 1, memory_order_seq_cst);
    slab_visit_all(heap, zeroize_slab, NULL);
    large_visit_all(heap, zeroize_large, NULL);
    atomic_fetch_sub_explicit(&heap->zeroizing, 1, memory_order_seq_cst);
}

void heap_zeroize_one(struct heap *heap, void *pointer)
{
    struct place place = heap_place(heap, pointer);
    if (place.kind == PLACE_LARGE) {
        while (!large_zeroize(heap, place.region, place.first_page)) {
            os_yield();
        }
    } else if (place.kind == PLACE_SLOT) {
        while (!zeroize_slot(place.region, place.first_page, place.class, place.slot)) {
            os_yield();
        }
    }
}
