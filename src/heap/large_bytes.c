/* SPDX-License-Identifier: ISC */
/* The bytes of a large buffer: the canaries around them, and whether they can be touched. */
#include "heap/canary.h"
#include "heap/large.h"

void large_write_canaries(const struct heap *heap, char *run, const struct large *large,
                          size_t size)
{
    size_t whole = large->count << heap->page_shift;
    if (!heap->canary || size == whole) { /* whole pages, as most that are so long ask for */
        return;
    }
    uint64_t word = canary_of(heap, run);
    if (large->guarded) {
        size_t front = whole - large_flush_size(size);
        canary_write(run, 0, front, word);
        canary_write(run + front, size, large_flush_size(size), word);
    } else {
        canary_write(run, size, whole, word);
    }
}

static bool holds(const struct heap *heap, const void *start, size_t size, size_t end,
                  uint64_t word)
{
    return canary_holds(start, size, end, word) || slot_wiped_by_fork(heap, start, size, end);
}

static enum fault check_guarded(const struct heap *heap, char *run, const struct large *large,
                                size_t size)
{
    size_t whole = large->count << heap->page_shift;
    uint64_t word = canary_of(heap, run);
    size_t front = whole - large_flush_size(size);
    if (!holds(heap, run, 0, front, word)) {
        return FAULT_BUFFER_UNDERFLOW;
    }
    return holds(heap, run + front, size, whole - front, word) ? FAULT_COUNT
                                                               : FAULT_BUFFER_OVERFLOW;
}

enum fault large_check(const struct heap *heap, char *run, const struct large *large, size_t size)
{
    size_t whole = large->count << heap->page_shift;
    if (!heap->canary || size == whole) {
        return FAULT_COUNT;
    }
    if (large->guarded) {
        return check_guarded(heap, run, large, size);
    }
    return holds(heap, run, size, whole, canary_of(heap, run)) ? FAULT_COUNT
                                                               : FAULT_BUFFER_OVERFLOW;
}

int large_open_closed(const struct heap *heap, char *run, const struct large *large)
{
    size_t size = large->count << heap->page_shift;
    int error = os_pages_protect(run, size, OS_READ_WRITE);
    if (error != 0) {
        int kept = os_pages_discard(run, size);
        if (kept != 0) {
            report_unexpected("mprotect", -error); /* a secret that cannot be wiped */
        }
    }
    return error;
}
