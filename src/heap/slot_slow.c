/* SPDX-License-Identifier: ISC */
/* The slow ends of the fast path, and slots of every size. */
#include "base/check.h"
#include "heap/slot.h"

/* Hands a free slot out. */
static void *issue(struct heap *heap, uint32_t class, struct slot slot, size_t size)
{
    size_t slot_size = heap->classes.at[class].slot_size;
    /* As the fast path does. */
    size_t whole = SHAPE_1040.size_max + CANARY_WIDE;
    size_t checked = slot_size <= whole ? slot_size : CHECK_FREE_MAX;
    if (heap->check_free && UNLIKELY(!wipe_slot_holds(slot.start, checked))) {
        report_fault(FAULT_WRITE_AFTER_FREE, slot.start, 0);
    }
    if (heap->canary) {
        canary_write(slot.start, size, slot_size, canary_of(heap, slot.start));
    }
    atomic_store_explicit(slot.record, slot_record_of(size), memory_order_release);
    return slot.start;
}

void *slot_issue_dirty(struct heap *heap, char *start, slot_record *record, size_t size)
{
    return issue(heap, size_class_of(size), (struct slot){start, record}, size);
}

void *slot_allocate_any(struct heap *heap, uint32_t class, size_t size)
{
    struct magazine *magazine = &cache_mine->magazines[class];
    struct slot slot = {NULL, NULL};
    if (UNLIKELY(!magazine_pop(magazine, &slot.start, &slot.record))) {
        return NULL;
    }
    counter_add(&magazine->live_bytes, size);
    return issue(heap, class, slot, size);
}

bool slot_refilled(struct heap *heap, size_t size)
{
    return size <= cache_mine->size_max && magazine_refill_from_stock(heap, size_class_of(size));
}

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
    return issue(heap, class, slot, size);
}

static void put_away(struct heap *heap, uint32_t class, struct slot slot, size_t size)
{
    magazine_count_bytes(heap, class, -(int64_t)size);
    if (UNLIKELY(!magazine_push(&cache_mine->magazines[class], slot))) {
        magazine_overflow(heap, class, slot);
    }
}

static void free_damaged(struct heap *heap, uint32_t class, struct slot slot, size_t size)
{
    size_t slot_size = heap->classes.at[class].slot_size;
    if (heap->canary && !slot_wiped_by_fork(heap, slot.start, size, slot_size)) {
        report_fault(FAULT_BUFFER_OVERFLOW, slot.start, size);
    }
    wipe(slot.start, slot_size);
    put_away(heap, class, slot, size);
}

void slot_free_damaged(struct heap *heap, char *start, size_t size)
{
    struct place place = heap_place(heap, start);
    free_damaged(heap, place.class, place.slot, size);
}

enum { AHEAD = 4096, TOGETHER = 12 * AHEAD };

/*
 * Who fills a magazine with slots that lie together frees what was allocated together, and goes on
 * with those behind it, or before it. The processor cannot guess which line is next, as slots leave
 * a slab at random, and each free would wait for two or three of them. So a few kilobytes and their
 * records are asked for now, once for half a magazine; if they are not freed next, little is lost.
 *
 * Only where a slab is one such block: within a longer one addresses do not tell where it goes on.
 *
 * Inline: compilers drop the call of a function that has no effect but this.
 */
INLINE void fetch_ahead(const struct shortcut *shortcut, const char *start, const char *oldest)
{
    uintptr_t block = (uintptr_t)start & ~(uintptr_t)(AHEAD - 1);
    uintptr_t way = block - ((uintptr_t)oldest & ~(uintptr_t)(AHEAD - 1));
    /* Within a block addresses tell nothing; far apart, they are no neighbours. */
    if (way == 0 || way + TOGETHER > 2 * (uintptr_t)TOGETHER) {
        return;
    }
    block = way <= TOGETHER ? block + AHEAD : block - AHEAD;
    size_t place = slot_place(shortcut, (const void *)block);
    if (place >= shortcut->places) {
        return;
    }
    for (size_t at = 0; at < AHEAD; at += CACHE_LINE) {
        __builtin_prefetch((const void *)(block + at));
    }
    for (size_t i = 0; i < AHEAD / SLOT_ALIGNMENT; i += CACHE_LINE / sizeof(slot_record)) {
        __builtin_prefetch(shortcut->records + place + i);
    }
}

void slot_free_full(struct heap *heap, char *start, size_t size)
{
    uint32_t class = size_class_of(size);
    heap_wide(heap)->wipe(start, heap->classes.at[class].slot_size);
    const struct shortcut *shortcut = cache_shortcut(cache_mine, start);
    const struct magazine *magazine = &cache_mine->magazines[class];
    bool one_block = (size_t)heap->classes.at[class].pages << heap->page_shift <= AHEAD;
    if (one_block && magazine_count(magazine) > 0) { /* not one that has no room */
        fetch_ahead(shortcut, start, magazine->bottom->start);
    }
    if (LIKELY(magazine_overflow_to_stock(heap, class))) {
        slot_record *record = shortcut->records + slot_place(shortcut, start);
        INVARIANT(heap_place(heap, start).class == class);
        INVARIANT(heap_place(heap, start).slot.record == record);
        put_away(heap, class, (struct slot){start, record}, size);
        magazines_purge_if_due(heap);
        return;
    }
    struct place place = heap_place(heap, start);
    put_away(heap, place.class, place.slot, size);
}

void slot_free_any(struct heap *heap, uint32_t class, struct slot slot, size_t size)
{
    size_t end = heap->classes.at[class].slot_size;
    if (UNLIKELY(!canary_holds(slot.start, size, end, canary_of(heap, slot.start)))) {
        free_damaged(heap, class, slot, size);
        return;
    }
    heap_wide(heap)->wipe(slot.start, end);
    put_away(heap, class, slot, size);
}

void slot_free_stale(void *pointer)
{
    report_fault(FAULT_DOUBLE_FREE, pointer, 0);
}

void slot_free_aligned(struct heap *heap, void *pointer, size_t size)
{
    struct place place = heap_place(heap, pointer);
    if (place.kind != PLACE_SLOT || pointer != place.slot.start) {
        heap_free_slow(heap, pointer, size);
        return;
    }
    uint16_t seen = atomic_load_explicit(place.slot.record, memory_order_relaxed);
    size_t length = slot_record_size(seen);
    if (!slot_record_is_live(seen) || (size != HEAP_ANY_SIZE && size != length) ||
        !slot_clear_record(place.slot.record, seen)) {
        heap_free_slow(heap, pointer, size);
        return;
    }
    size_t page = ((uintptr_t)pointer - place.region->base) >> heap->page_shift;
    if (atomic_load_explicit(&place.region->entries[page], memory_order_relaxed) != place.entry) {
        slot_free_stale(pointer);
        return;
    }
    slot_free_any(heap, place.class, place.slot, length);
}
