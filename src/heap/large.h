/* SPDX-License-Identifier: ISC */
/*
 * Large and guarded buffers: a run each, with a closed page on both sides.
 *
 *     large     | gap | caller's bytes ........ | canary | gap |
 *     guarded   | gap | canary | caller's bytes ........ | gap |
 *
 * A large buffer begins at its first page, so an underflow faults at once. A guarded one ends at
 * the rear gap, but for the up to 15 bytes that the alignment leaves: those, and the front, are
 * canary.
 */
#ifndef SECURE_MALLOC_HEAP_LARGE_H
#define SECURE_MALLOC_HEAP_LARGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap/heap.h"
#include "heap/record.h"
#include "heap/slot.h"

/* In the owner bytes of the run's first page. All but the record is set before the record is, and
 * belongs to who holds a claim, or to nobody while the record is 0. */
struct large {
    large_record record;
    _Atomic size_t count; /* pages; read by secure_audit without a claim, as is guarded */
    _Atomic uint8_t guarded;
    uint8_t access; /* enum os_access; guarded buffers */
};

INLINE struct large *large_at(const struct heap *heap, const struct region *region,
                              size_t first_page)
{
    return (struct large *)(void *)(region->owners + first_page * heap->pages.config.owner_stride);
}

INLINE char *large_run(const struct heap *heap, const struct region *region, size_t first_page)
{
    return region_page(region, first_page, heap->page_shift);
}

/* What a guarded buffer takes at the end of its run: no bytes have an address of their own too. */
INLINE size_t large_flush_size(size_t size)
{
    return ((size > 0 ? size : 1) + SLOT_ALIGNMENT - 1) & ~(size_t)(SLOT_ALIGNMENT - 1);
}

/* Where the caller's bytes begin in a run. */
INLINE void *large_start(const struct heap *heap, char *run, const struct large *large, size_t size)
{
    bool flush = atomic_load_explicit(&large->guarded, memory_order_relaxed) != 0;
    return flush ? run + (large->count << heap->page_shift) - large_flush_size(size) : run;
}

void *large_allocate(struct heap *heap, size_t size, size_t alignment, bool guarded, int *error);
/* The short way, for most buffers: what this thread has kept. NULL: that is nothing of this size.
 * Nothing of the heap is read before this thread has kept something: another one may be
 * initialising it. */
void *large_allocate_kept(struct heap *heap, size_t size);

/* place.kind is PLACE_LARGE. What is wrong about the pointer or the buffer is fatal. */
void large_free(struct heap *heap, const struct place *place, void *pointer, size_t size);
/* The short way, for pointers into a large region that are where a run begins; others are freed as
 * heap_free_slow does it. */
void large_free_at_start(struct heap *heap, struct region *region, void *pointer, size_t size);
size_t large_size_of(struct heap *heap, const struct place *place, const void *pointer);
bool large_is_guarded(const struct heap *heap, const struct place *place);
int large_protect(struct heap *heap, const struct place *place, void *pointer,
                  enum os_access access);

/* In place. false: the buffer is as it was, and must be moved. */
bool large_resize(struct heap *heap, const struct place *place, void *pointer, size_t size);

/* Wipes one for secure_zeroize, whatever its protection; false: it is claimed. */
bool large_zeroize(struct heap *heap, struct region *region, size_t first_page);

NORETURN void large_report_bad(struct heap *heap, const struct place *place, const void *pointer,
                               bool freeing);

/* How a large run is protected, for pages_relock. */
enum os_access large_access_of(struct heap *heap, const struct region *region, size_t first_page);

/* Visits every page of a large region where a live buffer may begin. Lock-free. */
typedef void large_visit(struct heap *heap, struct region *region, size_t first_page,
                         void *context);
void large_visit_all(struct heap *heap, large_visit *visit, void *context);

/* ---- for heap/large*.c ---- */

/* The record of the live buffer that begins at pointer, now claimed; or the end of the process. */
uint64_t large_claim_at(struct heap *heap, const struct place *place, const void *pointer,
                        bool freeing);

INLINE void large_unclaim(struct heap *heap, struct large *large, uint64_t record)
{
    atomic_store_explicit(&large->record, record, memory_order_release);
    heap_count_claim(heap, -1);
}

void large_write_canaries(const struct heap *heap, char *run, const struct large *large,
                          size_t size);

/* FAULT_COUNT: nothing is damaged. */
enum fault large_check(const struct heap *heap, char *run, const struct large *large, size_t size);

/* The part of large_open that is for closed ones. */
int large_open_closed(const struct heap *heap, char *run, const struct large *large);

/* Makes a claimed buffer's run readable and writable. It is mostly a mapping of its own, but
 * someone's mlockall may have locked the gaps, which makes one mapping of them and a closed buffer:
 * at the limit on mappings it cannot be opened then. -ENOMEM: so it is, and its contents are
 * discarded. */
INLINE int large_open(const struct heap *heap, char *run, const struct large *large)
{
    return large->access == OS_READ_WRITE ? 0 : large_open_closed(heap, run, large);
}

#endif
