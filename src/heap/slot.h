/* SPDX-License-Identifier: ISC */
/*
 * The life of a slot, as the fast path sees it. In order:
 *   malloc  check that it is zero, write the canary, set the record (release)
 *   free    clear the record, ask for the run's class again (if it changed since the lookup, a
 *           stale pointer raced with recutting), check the canary, push, wipe
 * so that a record that is not 0 always speaks of a buffer that is whole.
 */
#ifndef SECURE_MALLOC_HEAP_SLOT_H
#define SECURE_MALLOC_HEAP_SLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/single_threaded.h>

#include "base/check.h"
#include "base/report.h"
#include "base/wipe.h"
#include "heap/canary.h"
#include "heap/heap.h"
#include "heap/magazine.h"
#include "heap/record.h"
#include "heap/slot_shape.h"
#include "heap/slot_slack.h"

/* So many bytes of a longer free slot are checked: more would cost more than it tells. */
enum { CHECK_FREE_MAX = 1024 };

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
 * its caller, so that the fast path saves no registers and needs no stack.
 */
typedef void *slot_allocate_slowly(size_t size);
void *slot_allocate_slow(struct heap *heap, size_t size, uint32_t class, int *error);
/* The stock has filled the thread's magazine for this size: the fast path finds something now. */
bool slot_refilled(struct heap *heap, size_t size);
void *slot_issue_dirty(struct heap *heap, char *start, slot_record *record, size_t size);
void slot_free_far(struct heap *heap, void *pointer, size_t size);
void slot_free_aligned(struct heap *heap, void *pointer, size_t size);
void slot_free_stale(void *pointer);

/* Slots whose record was just cleared, and that are not wiped yet. These look for their class and
 * record anew, so that the fast path need not keep them at hand. */
void slot_free_damaged(struct heap *heap, char *start, size_t size);
void slot_free_full(struct heap *heap, char *start, size_t size);

/* The fast path where there are threads: a function of its own, for it needs more registers. */
void slot_free_threaded(struct heap *heap, char *start, size_t size, slot_record *record,
                        page_entry *entry_at);

/* The fast path of all sizes but keys up to 120 bytes: see heap/slot_wide.h. */
typedef void *slot_allocator(struct heap *heap, size_t size, slot_allocate_slowly *slowly);
typedef void slot_freer(struct heap *heap, char *start, size_t size, size_t class,
                        slot_record *record);
struct slot_wide {
    slot_allocator *allocate_key, *allocate; /* keys above 120 bytes; what is no key */
    slot_freer *free_key, *free;
    /* Of long memory: start is aligned to 16, size is a multiple of 16. */
    void (*wipe)(void *start, size_t size);
    /* Are the first CHECK_FREE_MAX bytes zero? */
    bool (*begins_zero)(const void *start);
};

/* For slots of every class. From the thread's magazine; NULL: it is empty. */
void *slot_allocate_any(struct heap *heap, uint32_t class, size_t size);
/* A slot whose record was just cleared. */
void slot_free_any(struct heap *heap, uint32_t class, struct slot slot, size_t size);

/* A canary that reads zero is not damaged in a child whose memory the fork wiped. */
bool slot_wiped_by_fork(const struct heap *heap, const void *start, size_t size, size_t end);

/* ---- allocating ---- */

/*
 * The sizes that come first: 16 to 264 bytes, in multiples of 8, as keys are. Their slack is a
 * whole word or two, so its first word and its last are all of it.
 */
enum { KEY_MIN = 16, KEY_MAX = 264, KEY_STEP = 8, SIZE_BITS = 8 * sizeof(size_t) };

/* One comparison for the bounds and the multiple. */
INLINE bool slot_is_key(size_t size)
{
    size_t above = size - KEY_MIN;
    return (above / KEY_STEP | above << (SIZE_BITS - 3)) <= (KEY_MAX - KEY_MIN) / KEY_STEP;
}

/* This thread's magazine of the class whose slots are `above` bytes longer than the shape's first.
 * The division is left out where it would only be undone, as it is where pointers have 8 bytes. */
INLINE struct magazine *shape_magazine(struct slot_shape shape, size_t above)
{
    struct magazine *first = &cache_mine->magazines[shape.first];
    size_t size = sizeof(*first);
    size_t offset = size % shape.step == 0   ? above * (size / shape.step)
                    : shape.step % size == 0 ? above / (shape.step / size)
                                             : above / shape.step * size;
    return (struct magazine *)(void *)((char *)first + offset);
}

/* Whether the checks are on is asked only when one of them fails. */
INLINE void *slot_allocate_shaped(struct heap *heap, size_t size, slot_allocate_slowly *slowly,
                                  struct slot_shape shape)
{
    size_t above = shape_above(shape, size);
    struct magazine *magazine = shape_magazine(shape, above);
    char *start = NULL;
    slot_record *record = NULL;
    if (UNLIKELY(!magazine_pop(magazine, &start, &record))) {
        return slowly(size);
    }
    counter_add(&magazine->live_bytes, size);
    char *end = start + shape.least + above;
    if (UNLIKELY(!shape_is_zero(shape, start, end))) {
        return slot_issue_dirty(heap, start, record, size);
    }
    shape_write_canary(shape, start, end, size, canary_of(heap, start));
    atomic_store_explicit(record, slot_record_of(size), memory_order_release);
    return start;
}

/* slowly: what to do when it takes more than the thread's magazine. Nothing of the heap is read
 * before the thread has a cache, but for what is atomic: another thread may be initialising it. */
INLINE void *slot_allocate(struct heap *heap, size_t size, slot_allocate_slowly *slowly)
{
    if (UNLIKELY(!slot_is_key(size))) {
        return heap_wide(heap)->allocate(heap, size, slowly);
    }
    if (LIKELY(size <= SHAPE_KEY.size_max)) {
        return slot_allocate_shaped(heap, size, slowly, SHAPE_KEY);
    }
    if (LIKELY(size <= SHAPE_LONG_KEY.size_max)) {
        return slot_allocate_shaped(heap, size, slowly, SHAPE_LONG_KEY);
    }
    return heap_wide(heap)->allocate_key(heap, size, slowly);
}

/* ---- freeing ---- */

/* A slot whose record was just cleared. */
INLINE void slot_free_shaped(struct heap *heap, size_t class, struct slot slot, size_t size,
                             struct slot_shape shape)
{
    size_t above = (class - shape.first) * shape.step;
    if (!__builtin_constant_p(class)) {
        __asm__("" : "+r"(above)); /* or the class is kept too, and a register for it saved */
    }
    char *end = slot.start + shape.least + above;
    if (UNLIKELY(!shape_canary_holds(shape, slot.start, end, size, canary_of(heap, slot.start)))) {
        slot_free_damaged(heap, slot.start, size);
        return;
    }
    struct magazine *magazine = shape_magazine(shape, above);
    struct slot *top = magazine_top(magazine);
    if (UNLIKELY(top == magazine->limit)) {
        slot_free_full(heap, slot.start, size);
        return;
    }
    /* Nobody but this thread looks into its magazine, and it will have wiped the slot by then: so
     * the wipe, which needs many registers, comes when all else is done with. */
    top->start = slot.start;
    top->record = slot.record;
    magazine_set_top(magazine, top + 1);
    counter_sub(&magazine->live_bytes, size);
    shape_wipe(shape, slot.start, end);
}

/* From live to free, once. false: someone else was faster, or claims it. */
INLINE bool slot_clear_record(slot_record *record, uint16_t seen)
{
    return atomic_compare_exchange_strong_explicit(record, &seen, 0, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

/* The number of 16-byte units from a region's start to the pointer; huge, if it lies before it or
 * is no multiple of them. */
INLINE size_t slot_place(const struct shortcut *shortcut, const void *pointer)
{
    size_t offset = (uintptr_t)pointer - shortcut->base;
    return offset >> SLOT_SHIFT | offset << (SIZE_BITS - SLOT_SHIFT);
}

/* The entry of the page in which the pointer lies; that is in the shortcut's region. */
INLINE page_entry *slot_entry(const struct heap *heap, const struct shortcut *shortcut,
                              const void *pointer)
{
    return &shortcut->entries[((uintptr_t)pointer - shortcut->base) >> heap->page_shift];
}

/*
 * size: what the caller says, or HEAP_ANY_SIZE. Whatever is out of the ordinary goes to
 * heap_free_slow, which looks at the pointer anew: claimed records, and all that is wrong.
 */
INLINE void slot_free_at(struct heap *heap, struct slot slot, size_t size, page_entry *entry_at,
                         bool threads)
{
    uint32_t entry = atomic_load_explicit(entry_at, memory_order_acquire);
    if (UNLIKELY(!entry_is_below(entry, ALIGNED_FIRST))) {
        slot_free_aligned(heap, slot.start, size);
        return;
    }
    uint16_t seen = atomic_load_explicit(slot.record, memory_order_relaxed);
    size_t length = (size_t)seen - 1;
    if (UNLIKELY(length >= SLOT_CLAIMED - 1) || UNLIKELY(size != HEAP_ANY_SIZE && size != length)) {
        heap_free_slow(heap, slot.start, size);
        return;
    }
    if (!threads) {
        /* A signal handler that zeroizes has let go of its claims before this goes on. */
        atomic_store_explicit(slot.record, 0, memory_order_relaxed);
    } else if (UNLIKELY(!slot_clear_record(slot.record, seen))) {
        heap_free_slow(heap, slot.start, size);
        return;
    } else if (UNLIKELY(atomic_load_explicit(entry_at, memory_order_relaxed) != entry)) {
        slot_free_stale(slot.start);
        return;
    }
    /* The record may come late from memory, so what is to be done depends on the class, and on the
     * length only where it is easily guessed: a wrong guess would be noticed only then. */
    size_t class = entry_class(entry);
    INVARIANT(class == size_class_of(length));
    if (UNLIKELY(!slot_is_key(length))) {
        heap_wide(heap)->free(heap, slot.start, length, class, slot.record);
        return;
    }
    /* 32 bytes is what most keys have. And once the class is guessed, the magazine is known before
     * the class has come from memory: who frees and allocates in turn waits for nothing else. */
    if (LIKELY(class == SHAPE_48.first)) {
        slot_free_shaped(heap, SHAPE_48.first, slot, length, SHAPE_48);
        return;
    }
    if (LIKELY(class < SHAPE_LONG_KEY.first)) {
        slot_free_shaped(heap, class, slot, length, SHAPE_KEY);
        return;
    }
    if (LIKELY(class < SHAPE_LONGEST_KEY.first)) {
        slot_free_shaped(heap, class, slot, length, SHAPE_LONG_KEY);
        return;
    }
    heap_wide(heap)->free_key(heap, slot.start, length, class, slot.record);
}

/* Regions that this thread has not freed anything of yet, large buffers, NULL and what is none of
 * ours are far. */
INLINE void slot_free(struct heap *heap, void *pointer, size_t size)
{
    const struct shortcut *shortcut = cache_shortcut(cache_mine, pointer);
    size_t place = slot_place(shortcut, pointer);
    if (UNLIKELY(place >= shortcut->places)) {
        slot_free_far(heap, pointer, size);
        return;
    }
    struct slot slot = {pointer, shortcut->records + place};
    if (UNLIKELY(!__libc_single_threaded)) {
        page_entry *entry_at = slot_entry(heap, shortcut, pointer);
        slot_free_threaded(heap, slot.start, size, slot.record, entry_at);
        return;
    }
    slot_free_at(heap, slot, size, slot_entry(heap, shortcut, pointer), false);
}

#endif
