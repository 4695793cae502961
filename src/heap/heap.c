/* SPDX-License-Identifier: ISC */
#include "heap/heap.h"

#include <errno.h>

#include "base/check.h"
#include "heap/canary.h"
#include "heap/large.h"
#include "heap/magazine.h"
#include "heap/slab.h"
#include "heap/slot_wide.h"

static size_t owner_stride(size_t page_size)
{
    size_t slab = slab_owner_stride(page_size);
    return slab > sizeof(struct large) ? slab : sizeof(struct large);
}

void heap_init(struct heap *heap, const struct heap_config *config)
{
    struct pages_config pages = config->pages;
    pages.records_stride = slab_records_stride(pages.page_size);
    pages.owner_stride = owner_stride(pages.page_size);
    atomic_store_explicit(&heap->owner, os_process_id(), memory_order_relaxed);
    atomic_store_explicit(&heap->wide, slot_wide_best(), memory_order_relaxed);
    heap->canary = config->canary;
    heap->check_free = config->check_free;
    random_fill(&heap->canary_key, sizeof(heap->canary_key));
    heap->canary_key.factor |= 1;
    heap->canary_key.set = CANARY_SET;
    heap->canary_key.keep = CANARY_KEEP;
    mutex_init(&heap->caches_mutex);
    mutex_init(&heap->changes_mutex);
    pages_init(&heap->pages, &pages);
    heap->page_size = pages.page_size;
    heap->page_shift = heap->pages.page_shift;
    size_classes_init(&heap->classes, pages.page_size);
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        mutex_init(&heap->slabs[class].mutex);
        random_seed(&heap->slabs[class].random);
    }
}

/* ---- allocating ---- */

void *heap_allocate(struct heap *heap, size_t size, int *error)
{
    if (size > heap->classes.size_max) {
        return large_allocate(heap, size, 1, false, error);
    }
    uint32_t class = size_class_of(size);
    void *pointer = slot_allocate_any(heap, class, size);
    return pointer != NULL ? pointer : slot_allocate_slow(heap, size, class, error);
}

void *heap_allocate_aligned(struct heap *heap, size_t alignment, size_t size, int *error)
{
    if (alignment <= SLOT_ALIGNMENT) {
        return heap_allocate(heap, size, error);
    }
    uint32_t class = size_class_aligned(&heap->classes, alignment, size);
    if (class < CLASS_MAX) {
        void *pointer = slot_allocate_any(heap, class, size);
        return pointer != NULL ? pointer : slot_allocate_slow(heap, size, class, error);
    }
    return large_allocate(heap, size, alignment, false, error);
}

void *heap_allocate_guarded(struct heap *heap, size_t size, int *error)
{
    return large_allocate(heap, size, 1, true, error);
}

/* ---- freeing ---- */

void heap_free(struct heap *heap, void *pointer, size_t size)
{
    slot_free(heap, pointer, size);
}

void heap_free_slow(struct heap *heap, void *pointer, size_t size)
{
    struct place place = heap_place(heap, pointer);
    if (pointer == NULL || place.kind == PLACE_DROPPED) {
        return;
    }
    if (place.kind == PLACE_LARGE) {
        large_free(heap, &place, pointer, size);
        return;
    }
    uint16_t record = 0;
    if (place.kind == PLACE_SLOT && pointer == place.slot.start) {
        record = slot_record_settled(place.slot.record);
    }
    if (record == 0) {
        heap_report_bad(heap, pointer, true);
    }
    if (size != HEAP_ANY_SIZE && size != slot_record_size(record)) {
        report_fault(FAULT_WRONG_SIZE, pointer, size);
    }
    /* It was claimed, and no longer is. */
    heap_free(heap, pointer, size);
}

/* ---- asking ---- */

size_t heap_size_of(struct heap *heap, const void *pointer)
{
    struct place place = heap_place(heap, pointer);
    if (place.kind == PLACE_LARGE) {
        return large_size_of(heap, &place, pointer);
    }
    uint16_t record = 0;
    if (place.kind == PLACE_SLOT && pointer == place.slot.start) {
        record = slot_record_settled(place.slot.record);
    }
    if (record == 0) {
        heap_report_bad(heap, pointer, false);
    }
    return slot_record_size(record);
}

int heap_protect(struct heap *heap, void *pointer, enum os_access access)
{
    struct place place = heap_place(heap, pointer);
    if (place.kind == PLACE_LARGE) {
        return large_protect(heap, &place, pointer, access);
    }
    (void)heap_size_of(heap, pointer); /* does not return unless it is a live buffer */
    return -EINVAL;
}

bool heap_owns(const struct heap *heap, const void *pointer)
{
    const struct region *region = registry_find(&heap->pages.registry, pointer);
    return region != NULL && region_holds(region, pointer, heap->page_shift);
}

/* ---- giving back ---- */

void heap_make_room(struct heap *heap, size_t bytes)
{
    magazines_flush(heap);
    (void)pages_release(&heap->pages, bytes);
}

size_t heap_purge(struct heap *heap)
{
    magazines_flush(heap);
    size_t given = pages_purge(&heap->pages);
    if (SECURE_MALLOC_DEBUG) {
        heap_validate(heap);
    }
    return given;
}

size_t heap_trim(struct heap *heap)
{
    (void)heap_purge(heap);
    size_t released = pages_release(&heap->pages, UINT64_MAX);
    if (SECURE_MALLOC_DEBUG) {
        heap_validate(heap);
    }
    return released;
}

/* ---- counting ---- */

void heap_count(struct heap *heap, struct heap_numbers *numbers)
{
    uint64_t slots = 0;
    uint64_t free_slots = 0;
    uint64_t bytes = counter_read(&heap->large_bytes);
    uint64_t large = counter_read(&heap->large_count);
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        slots += counter_read(&heap->slabs[class].all_slots);
        free_slots += counter_read(&heap->slabs[class].free_slots);
        bytes += counter_read(&heap->slabs[class].live_bytes);
    }
    bytes += caches_live_bytes(heap);
    uint64_t cached = caches_slots(heap);
    uint64_t spares = 0;
    uint64_t spare_bytes = 0;
    caches_spares(heap, &spares, &spare_bytes);
    *numbers = (struct heap_numbers){
        .live_count = slots - free_slots - cached + large,
        .live_bytes = bytes,
        .cached_slots = cached + spares,
        .free_slots = free_slots,
        .all_slots = slots + large + spares,
        .spare_bytes = spare_bytes,
    };
}

void heap_thread_exit(struct heap *heap, struct cache *cache)
{
    cache_mine = &cache_dead;
    cache_retire(heap, cache);
}

void heap_validate(struct heap *heap)
{
    pages_validate(&heap->pages);
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        slab_validate(heap, class);
    }
    caches_validate(heap);
}
