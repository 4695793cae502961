/* SPDX-License-Identifier: ISC */
#include "heap/large.h"

#include <errno.h>

#include "base/check.h"
#include "heap/magazine.h"

/* ---- claims ---- */

static bool set_claim(struct large *large, uint64_t seen)
{
    if (__libc_single_threaded) {
        /* A signal handler that zeroizes has let go of its claim before this goes on. */
        atomic_store_explicit(&large->record, seen | LARGE_CLAIMED, memory_order_relaxed);
        return true;
    }
    return atomic_compare_exchange_weak_explicit(&large->record, &seen, seen | LARGE_CLAIMED,
                                                 memory_order_acq_rel, memory_order_relaxed);
}

/* The record without its claim, which is now ours; 0: the buffer is free. */
static uint64_t claim(struct heap *heap, struct large *large)
{
    /* Counted first: a child that is forked in between must know that there may be claims. */
    heap_count_claim(heap, 1);
    for (;;) {
        uint64_t seen = atomic_load_explicit(&large->record, memory_order_acquire);
        if (seen == 0) {
            heap_count_claim(heap, -1);
            return 0;
        }
        if ((seen & LARGE_CLAIMED) != 0) {
            os_yield();
        } else if (set_claim(large, seen)) {
            return seen;
        }
    }
}

INLINE uint64_t claim_at(struct heap *heap, struct large *large, char *run, const void *pointer,
                         bool freeing)
{
    uint64_t record = claim(heap, large);
    if (UNLIKELY(record == 0)) {
        heap_report_bad(heap, pointer, freeing);
    }
    if (UNLIKELY(large_start(heap, run, large, large_record_size(record)) != pointer)) {
        large_unclaim(heap, large, record);
        heap_report_bad(heap, pointer, freeing);
    }
    return record;
}

uint64_t large_claim_at(struct heap *heap, const struct place *place, const void *pointer,
                        bool freeing)
{
    return claim_at(heap, large_at(heap, place->region, place->first_page),
                    large_run(heap, place->region, place->first_page), pointer, freeing);
}

/* ---- allocating and freeing ---- */

/* As for slabs: reading a page that is not resident would map the zero page and cost a second
 * fault.
 */
static void touch(char *at)
{
    _Atomic uint64_t *word = (_Atomic uint64_t *)(void *)at;
    uint64_t zero = 0;
    (void)atomic_compare_exchange_strong_explicit(word, &zero, 0, memory_order_relaxed,
                                                  memory_order_relaxed);
}

/* Both ends are checked: a guarded buffer lies at the rear one. */
static char *rear_of(const struct heap *heap, char *run, size_t count)
{
    return run + (count << heap->page_shift) - CHECK_FREE_MAX;
}

/* Makes a buffer of a free run that is ours; all about it is known but what its buffer needs. */
static void *hand_out(struct heap *heap, struct spare run, size_t size, bool guarded)
{
    struct large *large = run.large;
    large->access = OS_READ_WRITE; /* before guarded, for a child that is forked in between */
    /* Not sequentially consistent: that would wait for all of the last buffer's wipe. */
    atomic_store_explicit(&large->guarded, guarded, memory_order_release);
    char *start = large_start(heap, run.start, large, size);
    if (heap->check_free) {
        bool (*begins_zero)(const void *) = heap_wide(heap)->begins_zero;
        if (!(begins_zero(run.start) && begins_zero(rear_of(heap, run.start, large->count)))) {
            report_fault(FAULT_WRITE_AFTER_FREE, start, 0);
        }
    }
    large_write_canaries(heap, run.start, large, size);
    counter_add_shared(&heap->large_count, 1);
    counter_add_shared(&heap->large_bytes, size);
    atomic_store_explicit(&large->record, large_record_of(size), memory_order_release);
    return start;
}

static size_t pages_for(const struct heap *heap, size_t bytes)
{
    size_t count = (bytes + heap->page_size - 1) >> heap->page_shift;
    return count > 0 ? count : 1;
}

void *large_allocate_kept(struct heap *heap, size_t size)
{
    const struct cache *cache = cache_mine;
    bool kept = counter_read(&cache->spares.count) > 0;
    if (!kept || size > SPARE_BYTES_MAX || size <= cache->size_max) {
        return NULL;
    }
    struct spare spare = spare_take(heap, pages_for(heap, size));
    return spare.start != NULL ? hand_out(heap, spare, size, false) : NULL;
}

static int take(struct heap *heap, size_t count, size_t alignment, struct spare *taken)
{
    struct run run;
    size_t cold = 0;
    int error = pages_take_large(&heap->pages, count, alignment, &run, &cold);
    if (error == -ENOMEM && pages_possible(&heap->pages, count) == 0) {
        heap_make_room(heap, count << heap->page_shift);
        error = pages_take_large(&heap->pages, count, alignment, &run, &cold);
    }
    if (error != 0) {
        return error;
    }
    taken->start = run_start(&heap->pages, run);
    taken->large = large_at(heap, run.region, run.page);
    atomic_store_explicit(&taken->large->count, run.count, memory_order_relaxed);
    if (cold > 0 && heap->check_free) {
        touch(taken->start);
        touch(rear_of(heap, taken->start, run.count));
    }
    return 0;
}

void *large_allocate(struct heap *heap, size_t size, size_t alignment, bool guarded, int *error)
{
    if (size > PTRDIFF_MAX) {
        *error = -ENOMEM;
        return NULL;
    }
    size_t count = pages_for(heap, guarded ? large_flush_size(size) : size);
    struct spare free_run = {NULL, NULL};
    if (alignment <= heap->page_size) {
        free_run = spare_take(heap, count);
    }
    if (free_run.start == NULL) {
        *error = take(heap, count, alignment, &free_run);
    }
    return free_run.start != NULL ? hand_out(heap, free_run, size, guarded) : NULL;
}

/* Both ends last, to be at hand when the next owner's are checked: what lies between may be more
 * than the processor's first cache holds. */
static void wipe_run(const struct heap *heap, char *run, size_t count)
{
    char *rear = rear_of(heap, run, count);
    heap_wide(heap)->wipe(run, (size_t)(rear - run)); /* its beginning last */
    heap_wide(heap)->wipe(rear, CHECK_FREE_MAX);
}

static void give(struct heap *heap, struct run run, bool open)
{
    if (open) {
        pages_give_large(&heap->pages, run);
    } else {
        pages_strand_large(&heap->pages, run);
    }
    (void)pages_purge_due(&heap->pages);
}

static void free_at(struct heap *heap, struct region *region, size_t first_page, void *pointer,
                    size_t size)
{
    struct large *large = large_at(heap, region, first_page);
    char *run = large_run(heap, region, first_page);
    uint64_t record = claim_at(heap, large, run, pointer, true);
    size_t length = large_record_size(record);
    size_t count = large->count;
    if (size != HEAP_ANY_SIZE && size != length) {
        large_unclaim(heap, large, record);
        report_fault(FAULT_WRONG_SIZE, pointer, size);
    }
    bool open = large_open(heap, run, large) == 0;
    enum fault fault = open ? large_check(heap, run, large, length) : FAULT_COUNT;
    if (UNLIKELY(fault != FAULT_COUNT)) {
        large_unclaim(heap, large, record);
        report_fault(fault, pointer, length);
    }
    if (LIKELY(open)) {
        large->access = OS_READ_WRITE;
        wipe_run(heap, run, count);
    }
    counter_add_shared(&heap->large_count, UINT64_MAX);
    counter_add_shared(&heap->large_bytes, 0 - (uint64_t)length);
    large_unclaim(heap, large, 0);
    if (!open || !spare_put(heap, region, first_page, (struct spare){run, large})) {
        give(heap, (struct run){region, first_page, count}, open);
    }
}

void large_free(struct heap *heap, const struct place *place, void *pointer, size_t size)
{
    free_at(heap, place->region, place->first_page, pointer, size);
}

void large_free_at_start(struct heap *heap, struct region *region, void *pointer, size_t size)
{
    size_t offset = (uintptr_t)pointer - region->base;
    size_t page = offset >> heap->page_shift;
    if (page >= region->count || offset != page << heap->page_shift ||
        atomic_load_explicit(&region->dropped, memory_order_acquire) ||
        atomic_load_explicit(&region->entries[page], memory_order_acquire) != page + 1) {
        heap_free_slow(heap, pointer, size);
        return;
    }
    free_at(heap, region, page, pointer, size);
}

/* ---- asking ---- */

/* The record of a live buffer once nobody claims it; 0: it is free. */
static uint64_t settled(struct large *large)
{
    uint64_t seen = atomic_load_explicit(&large->record, memory_order_acquire);
    while ((seen & LARGE_CLAIMED) != 0) {
        os_yield();
        seen = atomic_load_explicit(&large->record, memory_order_acquire);
    }
    return seen;
}

size_t large_size_of(struct heap *heap, const struct place *place, const void *pointer)
{
    struct large *large = large_at(heap, place->region, place->first_page);
    uint64_t record = settled(large);
    size_t size = record != 0 ? large_record_size(record) : 0;
    if (record == 0 || large_start(heap, large_run(heap, place->region, place->first_page), large,
                                   size) != pointer) {
        heap_report_bad(heap, pointer, false);
    }
    return size;
}

bool large_is_guarded(const struct heap *heap, const struct place *place)
{
    return large_at(heap, place->region, place->first_page)->guarded != 0;
}

NORETURN void large_report_bad(struct heap *heap, const struct place *place, const void *pointer,
                               bool freeing)
{
    struct large *large = large_at(heap, place->region, place->first_page);
    uint64_t record = settled(large);
    if (record != 0) {
        report_fault(FAULT_INTERIOR_POINTER, pointer, large_record_size(record));
    }
    report_fault(freeing ? FAULT_DOUBLE_FREE : FAULT_INVALID_POINTER, pointer, 0);
}

enum os_access large_access_of(struct heap *heap, const struct region *region, size_t first_page)
{
    const struct large *large = large_at(heap, region, first_page);
    return large->guarded ? (enum os_access)large->access : OS_READ_WRITE;
}

void large_visit_all(struct heap *heap, large_visit *visit, void *context)
{
    struct region *region = atomic_load_explicit(&heap->pages.regions, memory_order_acquire);
    for (; region != NULL; region = atomic_load_explicit(&region->next, memory_order_relaxed)) {
        if (region->kind != REGION_LARGE) {
            continue;
        }
        size_t high = atomic_load_explicit(&region->high, memory_order_acquire);
        for (size_t page = 0; page < high; page++) {
            uint32_t entry = atomic_load_explicit(&region->entries[page], memory_order_acquire);
            if (entry == page + 1) {
                visit(heap, region, page, context);
            }
        }
    }
}
