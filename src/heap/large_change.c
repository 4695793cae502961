/* SPDX-License-Identifier: ISC */
/* What happens to a large buffer while it stays where it is, each under its claim. */
#include <errno.h>

#include "heap/large.h"

/* The pages of a claimed large buffer; false: there is no room. */
static bool set_pages(struct heap *heap, const struct place *place, struct large *large,
                      size_t size, size_t count)
{
    struct run run = {place->region, place->first_page, large->count};
    char *start = large_run(heap, place->region, place->first_page);
    if (count > large->count) {
        if (pages_grow_large(&heap->pages, &run, count) != 0) {
            return false;
        }
    } else if (count < large->count) {
        wipe(start + size, (large->count << heap->page_shift) - size);
        /* At the limit on mappings the pages stay, as slack. */
        (void)pages_shrink_large(&heap->pages, &run, count);
    }
    atomic_store_explicit(&large->count, run.count, memory_order_relaxed);
    return true;
}

static bool resize_claimed(struct heap *heap, const struct place *place, struct large *large,
                           size_t old, size_t size)
{
    char *start = large_run(heap, place->region, place->first_page);
    size_t slack_end = large->count << heap->page_shift;
    if (large->guarded) {
        /* In place only while the first byte stays where it is. */
        if (large_flush_size(size) != large_flush_size(old) || large->access != OS_READ_WRITE) {
            return false;
        }
        start += slack_end - large_flush_size(old);
        slack_end = large_flush_size(old);
    } else {
        size_t count = (size + heap->page_size - 1) >> heap->page_shift;
        if (size <= heap->classes.size_max || size > PTRDIFF_MAX ||
            !set_pages(heap, place, large, size, count)) {
            return false;
        }
    }
    size_t still_there = large->count << heap->page_shift;
    if (slack_end > still_there) {
        slack_end = still_there;
    }
    size_t from = size < old ? size : old;
    wipe(start + from, slack_end > from ? slack_end - from : 0);
    large_write_canaries(heap, large_run(heap, place->region, place->first_page), large, size);
    return true;
}

bool large_resize(struct heap *heap, const struct place *place, void *pointer, size_t size)
{
    struct large *large = large_at(heap, place->region, place->first_page);
    uint64_t mark = heap_zeroize_mark(heap);
    uint64_t record = large_claim_at(heap, place, pointer, true);
    size_t old = large_record_size(record);
    char *start = large_run(heap, place->region, place->first_page);
    if (large->access == OS_READ_WRITE) {
        enum fault fault = large_check(heap, start, large, old);
        if (fault != FAULT_COUNT) {
            large_unclaim(heap, large, record);
            report_fault(fault, pointer, old);
        }
    }
    mutex_lock(&heap->changes_mutex);
    bool resized = resize_claimed(heap, place, large, old, size);
    if (resized) {
        counter_add_shared(&heap->large_bytes, (uint64_t)size - (uint64_t)old);
        record = large_record_of(size);
    }
    large_unclaim(heap, large, record);
    mutex_unlock(&heap->changes_mutex);
    if (heap_zeroized_since(heap, mark)) {
        (void)large_zeroize(heap, place->region, place->first_page);
    }
    return resized;
}

int large_protect(struct heap *heap, const struct place *place, void *pointer,
                  enum os_access access)
{
    struct large *large = large_at(heap, place->region, place->first_page);
    uint64_t mark = heap_zeroize_mark(heap);
    uint64_t record = large_claim_at(heap, place, pointer, false);
    int error = -EINVAL;
    mutex_lock(&heap->changes_mutex);
    if (large->guarded) {
        char *start = large_run(heap, place->region, place->first_page);
        error = os_pages_protect(start, large->count << heap->page_shift, access);
    }
    if (error == 0) {
        large->access = (uint8_t)access;
    }
    large_unclaim(heap, large, record);
    mutex_unlock(&heap->changes_mutex);
    if (heap_zeroized_since(heap, mark)) {
        (void)large_zeroize(heap, place->region, place->first_page);
    }
    return error;
}

bool large_zeroize(struct heap *heap, struct region *region, size_t first_page)
{
    struct large *large = large_at(heap, region, first_page);
    uint64_t seen = atomic_load_explicit(&large->record, memory_order_acquire);
    if (seen == 0) {
        return true;
    }
    if ((seen & LARGE_CLAIMED) != 0) {
        return false;
    }
    heap_count_claim(heap, 1);
    if (!atomic_compare_exchange_strong_explicit(&large->record, &seen, seen | LARGE_CLAIMED,
                                                 memory_order_acq_rel, memory_order_relaxed)) {
        heap_count_claim(heap, -1);
        return false;
    }
    size_t size = large_record_size(seen);
    char *run = large_run(heap, region, first_page);
    if (large_open(heap, run, large) == 0) {
        wipe_racing(large_start(heap, run, large, size), size);
        if (large->access != OS_READ_WRITE) {
            /* Merging again splits nothing; and open would be no worse. */
            (void)os_pages_protect(run, large->count << heap->page_shift,
                                   (enum os_access)large->access);
        }
    }
    large_unclaim(heap, large, seen);
    return true;
}
