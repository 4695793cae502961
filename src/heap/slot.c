/* SPDX-License-Identifier: ISC */
#include "heap/slot.h"

#include "base/check.h"
#include "heap/large.h"

struct place heap_place(const struct heap *heap, const void *pointer)
{
    struct place place = {.kind = PLACE_NOWHERE};
    struct region *region = registry_find(&heap->pages.registry, pointer);
    if (region == NULL || !region_holds(region, pointer, heap->page_shift)) {
        return place;
    }
    size_t offset = (uintptr_t)pointer - region->base;
    size_t page = offset >> heap->page_shift;
    place.region = region;
    if (atomic_load_explicit(&region->dropped, memory_order_acquire)) {
        place.kind = PLACE_DROPPED;
        return place;
    }
    place.entry = atomic_load_explicit(&region->entries[page], memory_order_acquire);
    if (region->kind == REGION_LARGE) {
        if (place.entry != 0) {
            /* A page that was part of a longer run names a shorter one that begins where that did.
             */
            place.first_page = place.entry - 1;
            size_t count = large_at(heap, region, place.first_page)->count;
            place.kind = page < place.first_page + count ? PLACE_LARGE : PLACE_FREE_RUN;
        }
        return place;
    }
    if ((place.entry & ENTRY_SLAB) == 0) {
        bool guard = pages_is_guard(region, page);
        bool opened = page < atomic_load_explicit(&region->high, memory_order_acquire);
        place.kind = opened && !guard ? PLACE_FREE_RUN : PLACE_NOWHERE;
        return place;
    }
    place.class = entry_class(place.entry);
    place.first_page = page - entry_index(place.entry);
    const struct size_class *c = &heap->classes.at[place.class];
    uint32_t index = slot_index(c, offset - (place.first_page << heap->page_shift));
    if (index < c->slots) {
        place.kind = PLACE_SLOT;
        place.slot = slab_slot(heap, region, place.first_page, place.class, index);
    }
    return place;
}

uint16_t slot_record_settled(slot_record *record)
{
    uint16_t seen = atomic_load_explicit(record, memory_order_acquire);
    while ((seen & SLOT_CLAIMED) != 0) {
        os_yield();
        seen = atomic_load_explicit(record, memory_order_acquire);
    }
    return seen;
}

bool slot_wiped_by_fork(const struct heap *heap, const void *start, size_t size, size_t end)
{
    const char *bytes = start;
    uint8_t seen = 0;
    if (!atomic_load_explicit(&heap->wiped_by_fork, memory_order_relaxed)) {
        return false;
    }
    for (size_t i = size; i < end; i++) {
        seen |= (uint8_t)bytes[i];
    }
    return seen == 0;
}

/* ---- reports ---- */

static NORETURN void report_slot(const struct place *place, const void *pointer, bool freeing)
{
    uint16_t record = slot_record_settled(place->slot.record);
    bool at_start = pointer == place->slot.start;
    if (record != 0 && !at_start) {
        report_fault(FAULT_INTERIOR_POINTER, pointer, slot_record_size(record));
    }
    /* A live record here means that the buffer was freed, and handed out again, since the caller
     * looked: its pointer was stale. */
    report_fault(freeing && at_start ? FAULT_DOUBLE_FREE : FAULT_INVALID_POINTER, pointer, 0);
}

NORETURN void heap_report_bad(struct heap *heap, const void *pointer, bool freeing)
{
    struct place place = heap_place(heap, pointer);
    if (place.kind == PLACE_SLOT) {
        report_slot(&place, pointer, freeing);
    }
    if (place.kind == PLACE_LARGE) {
        large_report_bad(heap, &place, pointer, freeing);
    }
    bool double_free = place.kind == PLACE_FREE_RUN && freeing;
    report_fault(double_free ? FAULT_DOUBLE_FREE : FAULT_INVALID_POINTER, pointer, 0);
}

void slot_free_threaded(struct heap *heap, char *start, size_t size, slot_record *record,
                        page_entry *entry_at)
{
    slot_free_at(heap, (struct slot){start, record}, size, entry_at, true);
}

static NOINLINE void free_in_region(struct heap *heap, const struct region *region, void *pointer,
                                    size_t size)
{
    const struct shortcut shortcut = shortcut_to(region, heap->page_shift);
    size_t place = slot_place(&shortcut, pointer);
    if (place >= shortcut.places) {
        heap_free_slow(heap, pointer, size);
        return;
    }
    cache_remember(cache_mine, &shortcut, pointer);
    slot_free_threaded(heap, pointer, size, shortcut.records + place,
                       slot_entry(heap, &shortcut, pointer));
}

void slot_free_far(struct heap *heap, void *pointer, size_t size)
{
    struct region *region = registry_find(&heap->pages.registry, pointer);
    if (UNLIKELY(region == NULL)) {
        heap_free_slow(heap, pointer, size);
    } else if (region->kind == REGION_LARGE) {
        large_free_at_start(heap, region, pointer, size);
    } else {
        free_in_region(heap, region, pointer, size);
    }
}
