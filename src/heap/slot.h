/* SPDX-License-Identifier: ISC */
/*
 * The life of a slot, as the fast path sees it. In order:
 *   malloc  check that it is zero, write the canary, set the record (release)
 *   free    clear the record, ask for the run's class again (if it changed since the lookup, a
 * stale pointer raced with recutting), check the canary, wipe, push so that a record that is not 0
 * always speaks of a buffer that is whole.
 */
#ifndef SECURE_MALLOC_HEAP_SLOT_H
#define SECURE_MALLOC_HEAP_SLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/single_threaded.h>

#include "base/report.h"
#include "base/wipe.h"
#include "heap/canary.h"
#include "heap/heap.h"
#include "heap/magazine.h"
#include "heap/record.h"

enum {
    CHECK_FREE_MAX =
        1024, /* bytes of free memory that are checked: more would cost more than it tells */
    WIPE_INLINE_MAX = 512 /* above it, the C library's wide stores win */
};

/* Where a pointer leads. */
enum place_kind {
    PLACE_NOWHERE,  /* not our memory; never opened, a gap, a guard, the waste at a slab's end */
    PLACE_FREE_RUN, /* pages that were in use once */
    PLACE_SLOT,     /* start and record are set; it may be free */
    PLACE_LARGE,    /* likewise, by heap/large.h */
    PLACE_DROPPED   /* a forked child that has lost its parent's memory */
};

struct place {
    enum place_kind kind;
    struct region *region;
    size_t first_page; /* of the slab or the large run */
    uint32_t entry;
    uint32_t class;
    struct slot slot;
};

/* For the slow paths: never faults, whatever the pointer is. */
struct place heap_place(const struct heap *heap, const void *pointer);

/* The length + 1 of a live slot, once nobody claims it; 0: it is free. */
uint16_t slot_record_settled(slot_record *record);

/* Ends the process with what is wrong about a pointer that is not the start of a live buffer. */
NORETURN void heap_report_bad(struct heap *heap, const void *pointer, bool freeing);

/*
 * The slow ends of the operations below, out of line. Each takes over for good, as the last call of
 * its caller, so that the fast path saves no registers.
 */
void *slot_allocate_slow(struct heap *heap, size_t size, uint32_t class, int *error);
void slot_free_slow(struct heap *heap, uint32_t class, struct slot slot, size_t size);
void slot_free_large(struct heap *heap, uint32_t class, struct slot slot, size_t size);
void slot_free_damaged(struct heap *heap, uint32_t class, struct slot slot, size_t size);

/* A canary that reads zero is not damaged in a child whose memory the fork wiped. */
bool slot_wiped_by_fork(const struct heap *heap, const void *start, size_t size, size_t end);

INLINE size_t slot_check_size(const struct size_class *class)
{
    return class->slot_size < CHECK_FREE_MAX ? class->slot_size : CHECK_FREE_MAX;
}

/* Hands a free slot out. */
INLINE void *slot_issue(struct heap *heap, const struct size_class *class, struct slot slot,
                        size_t size)
{
    if (LIKELY(heap->check_free) &&
        UNLIKELY(!wipe_slot_holds(slot.start, slot_check_size(class)))) {
        report_fault(FAULT_WRITE_AFTER_FREE, slot.start, 0);
    }
    if (LIKELY(heap->canary)) {
        canary_write(slot.start, size, class->slot_size, canary_of(heap, slot.start));
    }
    atomic_store_explicit(slot.record, slot_record_of(size), memory_order_release);
    return slot.start;
}

/* From the thread's magazine; NULL: it is empty. */
INLINE void *slot_allocate_class(struct heap *heap, uint32_t class, size_t size)
{
    struct magazine *magazine = &cache_mine->magazines[class];
    uint32_t count = magazine_count(magazine);
    if (UNLIKELY(count == 0)) {
        return NULL;
    }
    struct slot slot = magazine->slots[count - 1];
    magazine_set_count(magazine, count - 1);
    counter_add(&magazine->live_bytes, size);
    return slot_issue(heap, &heap->classes.at[class], slot, size);
}

/* NULL: the slow way, heap_allocate, decides. Nothing of the heap is read before the thread has a
 * cache, so another thread may be initialising it. */
INLINE void *slot_allocate(struct heap *heap, size_t size)
{
    if (UNLIKELY(size > SLOT_SIZE_MAX - CANARY_MIN)) {
        return NULL;
    }
    return slot_allocate_class(heap, size_class_of(size), size);
}

/* From live to free, once. false: someone else was faster, or claims it. */
INLINE bool slot_clear_record(slot_record *record, uint16_t seen)
{
    if (__libc_single_threaded) {
        /* A signal handler that zeroizes has let go of its claims before this goes on. */
        atomic_store_explicit(record, 0, memory_order_relaxed);
        return true;
    }
    return atomic_compare_exchange_strong_explicit(record, &seen, 0, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

/* A slot whose record was just cleared. */
INLINE bool slot_is_whole(const struct heap *heap, const struct size_class *class,
                          const void *start, size_t size)
{
    return UNLIKELY(!heap->canary) ||
           canary_holds(start, size, class->slot_size, canary_of(heap, start));
}

/*
 * size: what the caller says, or HEAP_ANY_SIZE. Whatever is out of the ordinary goes to
 * heap_free_slow, which looks at the pointer anew: NULL, large buffers, claimed records, and all
 * that is wrong.
 */
INLINE void slot_free(struct heap *heap, void *pointer, size_t size)
{
    struct region *region = registry_find(&heap->pages.registry, pointer);
    if (UNLIKELY(region == NULL)) {
        heap_free_slow(heap, pointer, size);
        return;
    }
    size_t offset = (uintptr_t)pointer - region->base;
    size_t page = offset >> heap->page_shift;
    if (UNLIKELY(page >= region->count)) {
        heap_free_slow(heap, pointer, size);
        return;
    }
    uint32_t entry = atomic_load_explicit(&region->entries[page], memory_order_acquire);
    if (UNLIKELY((entry & ENTRY_SLAB) == 0)) {
        heap_free_slow(heap, pointer, size);
        return;
    }
    uint32_t class = entry & ENTRY_CLASS_MASK;
    size_t first_page = page - ((entry >> ENTRY_INDEX_SHIFT) & ENTRY_INDEX_MASK);
    const struct size_class *c = &heap->classes.at[class];
    size_t within = offset - (first_page << heap->page_shift);
    uint32_t index = slot_index(c, within);
    if (UNLIKELY((size_t)index * c->slot_size != within)) {
        heap_free_slow(heap, pointer, size);
        return;
    }
    /* The waste at a slab's end would have records too: there is room for them, and they are 0. */
    struct slot slot = {pointer, slab_record(region, first_page << heap->page_shift, index)};
    uint16_t seen = atomic_load_explicit(slot.record, memory_order_relaxed);
    size_t length = slot_record_size(seen);
    if (UNLIKELY(seen == 0) || UNLIKELY((seen & SLOT_CLAIMED) != 0) ||
        (size != HEAP_ANY_SIZE && UNLIKELY(size != length)) ||
        UNLIKELY(!slot_clear_record(slot.record, seen))) {
        heap_free_slow(heap, pointer, size);
        return;
    }
    if (UNLIKELY(atomic_load_explicit(&region->entries[page], memory_order_relaxed) != entry)) {
        report_fault(FAULT_DOUBLE_FREE, pointer, 0);
    }
    if (UNLIKELY(c->slot_size > WIPE_INLINE_MAX)) {
        slot_free_large(heap, class, slot, length);
        return;
    }
    if (UNLIKELY(!slot_is_whole(heap, c, pointer, length))) {
        slot_free_damaged(heap, class, slot, length);
        return;
    }
    wipe_slot(pointer, c->slot_size);
    struct magazine *magazine = &cache_mine->magazines[class];
    if (UNLIKELY(!magazine_push(magazine, slot))) {
        slot_free_slow(heap, class, slot, length);
        return;
    }
    counter_sub(&magazine->live_bytes, length);
}

#endif
