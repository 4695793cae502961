/* SPDX-License-Identifier: ISC */
#include "heap/slot.h"

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
    place.class = place.entry & ENTRY_CLASS_MASK;
    place.first_page = page - ((place.entry >> ENTRY_INDEX_SHIFT) & ENTRY_INDEX_MASK);
    const struct size_class *c = &heap->classes.at[place.class];
    char *start = region_page(region, place.first_page, heap->page_shift);
    uint32_t index = slot_index(c, (size_t)((uintptr_t)pointer - (uintptr_t)start));
    if (index >= c->slots) {
        return place;
    }
    place.kind = PLACE_SLOT;
    place.slot.start = start + (size_t)index * c->slot_size;
    place.slot.record = &slab_records(heap, region, place.first_page)[index];
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

/* ---- slow ends ---- */

void *slot_allocate_slow(struct heap *heap, size_t size, uint32_t class, int *error)
{
    struct slot slot = magazine_refill(heap, class, error);
    if (slot.start == NULL) {
        heap_make_room(heap, heap->classes.at[class].pages * heap->page_size);
        slot = magazine_refill(heap, class, error);
    }
    if (slot.start == NULL) {
        return NULL;
    }
    magazine_count_bytes(heap, class, (int64_t)size);
    return slot_issue(heap, &heap->classes.at[class], slot, size);
}

void slot_free_slow(struct heap *heap, uint32_t class, struct slot slot, size_t size)
{
    magazine_count_bytes(heap, class, -(int64_t)size);
    magazine_overflow(heap, class, slot);
}

static void put_away(struct heap *heap, uint32_t class, struct slot slot, size_t size)
{
    struct magazine *magazine = &cache_mine->magazines[class];
    wipe(slot.start, heap->classes.at[class].slot_size);
    if (!magazine_push(magazine, slot)) {
        slot_free_slow(heap, class, slot, size);
        return;
    }
    counter_sub(&magazine->live_bytes, size);
}

void slot_free_damaged(struct heap *heap, uint32_t class, struct slot slot, size_t size)
{
    if (!slot_wiped_by_fork(heap, slot.start, size, heap->classes.at[class].slot_size)) {
        report_fault(FAULT_BUFFER_OVERFLOW, slot.start, size);
    }
    put_away(heap, class, slot, size);
}

void slot_free_large(struct heap *heap, uint32_t class, struct slot slot, size_t size)
{
    if (UNLIKELY(!slot_is_whole(heap, &heap->classes.at[class], slot.start, size))) {
        slot_free_damaged(heap, class, slot, size);
        return;
    }
    put_away(heap, class, slot, size);
}
