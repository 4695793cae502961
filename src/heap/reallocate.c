/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "heap/large.h"
#include "heap/slot.h"

/* The claimed record of the live slot that begins at pointer, or the end of the process. */
static uint16_t claim(struct heap *heap, const struct place *place, const void *pointer)
{
    slot_record *record = place->slot.record;
    heap_count_claim(heap, 1);
    for (;;) {
        uint16_t seen = slot_record_settled(record);
        if (seen == 0 || pointer != place->slot.start) {
            heap_report_bad(heap, pointer, true);
        }
        uint16_t expected = seen;
        if (atomic_compare_exchange_strong_explicit(record, &expected,
                                                    (uint16_t)(seen | SLOT_CLAIMED),
                                                    memory_order_acq_rel, memory_order_relaxed)) {
            return seen;
        }
        if ((expected & SLOT_CLAIMED) == 0) {
            /* Freed, or resized, by another thread in this very moment. */
            report_fault(FAULT_DOUBLE_FREE, pointer, 0);
        }
    }
}

static void unclaim(struct heap *heap, const struct place *place, uint16_t record)
{
    atomic_store_explicit(place->slot.record, record, memory_order_release);
    heap_count_claim(heap, -1);
}

/* In place, within the slot. */
static bool resize_slot(struct heap *heap, const struct place *place, void *pointer, size_t size)
{
    const struct size_class *class = &heap->classes.at[place->class];
    bool aligned_class = place->class >= ALIGNED_FIRST;
    if (size > heap->classes.size_max || (aligned_class && size + CANARY_MIN > class->slot_size) ||
        (!aligned_class && size_class_of(size) != place->class)) {
        return false;
    }
    uint16_t record = claim(heap, place, pointer);
    if (atomic_load_explicit(&place->region->entries[place->first_page], memory_order_relaxed) !=
        entry_of(place->class)) {
        report_fault(FAULT_DOUBLE_FREE, pointer, 0);
    }
    size_t old = slot_record_size(record);
    size_t end = class->slot_size;
    if (heap->canary && !canary_holds(pointer, old, end, canary_of(heap, pointer)) &&
        !slot_wiped_by_fork(heap, pointer, old, end)) {
        unclaim(heap, place, record);
        report_fault(FAULT_BUFFER_OVERFLOW, pointer, old);
    }
    size_t from = size < old ? size : old;
    wipe((char *)pointer + from, end - from);
    if (heap->canary) {
        canary_write(pointer, size, end, canary_of(heap, pointer));
    }
    unclaim(heap, place, slot_record_of(size));
    magazine_count_bytes(heap, place->class, (int64_t)size - (int64_t)old);
    return true;
}

/* A guarded buffer may be closed: it is copied from while it is open, and the copy closed alike. */
static void *move_guarded(struct heap *heap, const struct place *place, void *pointer, size_t size,
                          int *error)
{
    enum os_access access = large_access_of(heap, place->region, place->first_page);
    size_t old = large_size_of(heap, place, pointer);
    void *moved = heap_allocate_guarded(heap, size, error);
    if (moved == NULL) {
        return NULL;
    }
    if (access == OS_NO_ACCESS) {
        *error = large_protect(heap, place, pointer, OS_READ_ONLY);
    }
    if (*error == 0) {
        memcpy(moved, pointer, old < size ? old : size);
        *error = access != OS_READ_WRITE ? heap_protect(heap, moved, access) : 0;
    }
    if (*error != 0) {
        heap_free(heap, moved, HEAP_ANY_SIZE);
        (void)large_protect(heap, place, pointer, access);
        return NULL;
    }
    heap_free(heap, pointer, HEAP_ANY_SIZE);
    return moved;
}

static void *move(struct heap *heap, void *pointer, size_t size, int *error)
{
    size_t old = heap_size_of(heap, pointer);
    void *moved = heap_allocate(heap, size, error);
    if (moved == NULL) {
        return NULL;
    }
    memcpy(moved, pointer, old < size ? old : size);
    heap_free(heap, pointer, HEAP_ANY_SIZE);
    return moved;
}

static void *reallocate(struct heap *heap, void *pointer, size_t size, int *error)
{
    struct place place = heap_place(heap, pointer);
    if (place.kind == PLACE_SLOT) {
        if (slot_record_settled(place.slot.record) == 0 || pointer != place.slot.start) {
            heap_report_bad(heap, pointer, true);
        }
        return resize_slot(heap, &place, pointer, size) ? pointer
                                                        : move(heap, pointer, size, error);
    }
    if (place.kind != PLACE_LARGE) {
        heap_report_bad(heap, pointer, true);
    }
    if (large_resize(heap, &place, pointer, size)) {
        return pointer;
    }
    return large_is_guarded(heap, &place) ? move_guarded(heap, &place, pointer, size, error)
                                          : move(heap, pointer, size, error);
}

void *heap_reallocate(struct heap *heap, void *pointer, size_t size, int *error)
{
    uint64_t mark = heap_zeroize_mark(heap);
    *error = 0;
    void *result = reallocate(heap, pointer, size, error);
    /* A secure_zeroize meanwhile may have looked at the new place before the bytes came there, or
     * met our claim. */
    if (result != NULL && heap_zeroized_since(heap, mark)) {
        heap_zeroize_one(heap, result);
    }
    return result;
}
