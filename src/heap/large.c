/* SPDX-License-Identifier: ISC */
#include "heap/large.h"

#include <errno.h>

#include "base/check.h"
#include "heap/spare.h"

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

void large_unclaim(struct heap *heap, struct large *large, uint64_t record)
{
    atomic_store_explicit(&large->record, record, memory_order_release);
    heap_count_claim(heap, -1);
}

static uint64_t claim_at(struct heap *heap, const struct region *region, size_t first_page,
                         const void *pointer, bool freeing)
{
    struct large *large = large_at(heap, region, first_page);
    uint64_t record = claim(heap, large);
    if (UNLIKELY(record == 0)) {
        heap_report_bad(heap, pointer, freeing);
    }
    size_t size = large_record_size(record);
    if (UNLIKELY(large_start(heap, region, first_page, large, size) != pointer)) {
        large_unclaim(heap, large, record);
        heap_report_bad(heap, pointer, freeing);
    }
    return record;
}

uint64_t large_claim_at(struct heap *heap, const struct place *place, const void *pointer,
                        bool freeing)
{
    return claim_at(heap, place->region, place->first_page, pointer, freeing);
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

/* Both ends: a guarded buffer lies at the rear one. */
static void check_free(const struct heap *heap, struct run run, bool is_cold, const void *pointer)
{
    char *start = run_start(&heap->pages, run);
    char *rear = start + (run.count << heap->page_shift) - CHECK_FREE_MAX;
    if (!heap->check_free) {
        return;
    }
    if (is_cold) {
        touch(start);
        touch(rear);
    }
    if (!(heap_wide(heap)->begins_zero(start) && heap_wide(heap)->begins_zero(rear))) {
        report_fault(FAULT_WRITE_AFTER_FREE, pointer, 0);
    }
}

static int take(struct heap *heap, size_t count, size_t alignment, struct run *run, size_t *cold)
{
    if (alignment <= heap->page_size && spare_take(heap, count, run)) {
        return 0;
    }
    int error = pages_take_large(&heap->pages, count, alignment, run, cold);
    if (error == -ENOMEM && pages_possible(&heap->pages, count) == 0) {
        heap_make_room(heap, count << heap->page_shift);
        error = pages_take_large(&heap->pages, count, alignment, run, cold);
    }
    return error;
}

void *large_allocate(struct heap *heap, size_t size, size_t alignment, bool guarded, int *error)
{
    struct run run;
    size_t cold = 0;
    size_t bytes = guarded ? large_flush_size(size) : size;
    if (size > PTRDIFF_MAX) {
        *error = -ENOMEM;
        return NULL;
    }
    size_t count = (bytes + heap->page_size - 1) >> heap->page_shift;
    count = count > 0 ? count : 1;
    *error = take(heap, count, alignment, &run, &cold);
    if (*error != 0) {
        return NULL;
    }
    struct large *large = large_at(heap, run.region, run.page);
    /* Not sequentially consistent: that would wait for all of the last buffer's wipe. */
    atomic_store_explicit(&large->count, run.count, memory_order_relaxed);
    large->access = OS_READ_WRITE; /* before guarded, for a child that is forked in between */
    atomic_store_explicit(&large->guarded, guarded, memory_order_release);
    void *pointer = large_start(heap, run.region, run.page, large, size);
    check_free(heap, run, cold > 0, pointer);
    large_write_canaries(heap, run_start(&heap->pages, run), large, size);
    counter_add_shared(&heap->large_count, 1);
    counter_add_shared(&heap->large_bytes, size);
    atomic_store_explicit(&large->record, large_record_of(size), memory_order_release);
    return pointer;
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
    uint64_t record = claim_at(heap, region, first_page, pointer, true);
    size_t length = large_record_size(record);
    size_t count = large->count;
    char *start = large_run(heap, region, first_page);
    if (size != HEAP_ANY_SIZE && size != length) {
        large_unclaim(heap, large, record);
        report_fault(FAULT_WRONG_SIZE, pointer, size);
    }
    bool open = large_open(heap, start, large) == 0;
    enum fault fault = open ? large_check(heap, start, large, length) : FAULT_COUNT;
    if (fault != FAULT_COUNT) {
        large_unclaim(heap, large, record);
        report_fault(fault, pointer, length);
    }
    if (open) {
        large->access = OS_READ_WRITE;
        heap_wide(heap)->wipe(start, count << heap->page_shift);
    }
    counter_add_shared(&heap->large_count, UINT64_MAX);
    counter_add_shared(&heap->large_bytes, 0 - (uint64_t)length);
    large_unclaim(heap, large, 0);
    if (!open || !spare_put(heap, region, first_page, count)) {
        give(heap, (struct run){region, first_page, count}, open);
    }
}

void large_free(struct heap *heap, const struct place *place, void *pointer, size_t size)
{
    free_at(heap, place->region, place->first_page, pointer, size);
}

bool large_free_at_start(struct heap *heap, struct region *region, void *pointer, size_t size)
{
    size_t offset = (uintptr_t)pointer - region->base;
    size_t page = offset >> heap->page_shift;
    if (page >= region->count || offset != page << heap->page_shift ||
        atomic_load_explicit(&region->dropped, memory_order_acquire) ||
        atomic_load_explicit(&region->entries[page], memory_order_acquire) != page + 1) {
        return false;
    }
    free_at(heap, region, page, pointer, size);
    return true;
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
    if (record == 0 ||
        large_start(heap, place->region, place->first_page, large, size) != pointer) {
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
