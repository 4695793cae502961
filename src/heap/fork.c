/* SPDX-License-Identifier: ISC */
/*
 * Fork. All mutexes are held across it, so that the structures they guard are whole in the child.
 * What other threads do without a mutex is not: a slot may be on its way between a magazine, a
 * record and a free map. So the child forgets all magazines, and finds the slots and the large
 * runs that nobody holds from the records. It must do so before it has a second thread, which would
 * be on such a way again; that is, before fork returns (0.6 ms for a million slots). A process
 * without threads just flushes.
 */
#include <sys/single_threaded.h>

#include "heap/large.h"
#include "heap/magazine.h"
#include "heap/slab.h"
#include "heap/spare.h"

/* ThreadSanitizer follows 64 mutexes that a thread holds, and ends the process at one more: these,
 * six others of ours, and what the program itself holds when it forks. */
_Static_assert(CLASS_MAX + 6 < 60, "fork holds too many mutexes for ThreadSanitizer");

void heap_fork_prepare(struct heap *heap)
{
    mutex_lock(&heap->changes_mutex);
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        mutex_lock(&heap->slabs[class].mutex);
    }
    mutex_lock(&heap->caches_mutex);
    pages_quiesce(&heap->pages);
    heap->forked_threaded = !__libc_single_threaded;
    atomic_fetch_add_explicit(&heap->forks, 1, memory_order_relaxed);
}

void heap_fork_done(struct heap *heap)
{
    pages_resume(&heap->pages);
    mutex_unlock(&heap->caches_mutex);
    for (uint32_t class = heap->classes.count; class -- > 0;) {
        mutex_unlock(&heap->slabs[class].mutex);
    }
    mutex_unlock(&heap->changes_mutex);
}

/* ---- claims of threads that do not exist here ---- */

static void drop_slot_claims(struct heap *heap, struct region *region, size_t page, uint32_t class,
                             void *context)
{
    (void)context;
    for (uint32_t i = 0; i < heap->classes.at[class].slots; i++) {
        slot_record *record = slab_slot(heap, region, page, class, i).record;
        uint16_t seen = atomic_load_explicit(record, memory_order_relaxed);
        atomic_store_explicit(record, (uint16_t)(seen & ~SLOT_CLAIMED), memory_order_relaxed);
    }
}

static void drop_large_claim(struct heap *heap, struct region *region, size_t page, void *context)
{
    (void)context;
    struct large *large = large_at(heap, region, page);
    uint64_t record = atomic_load_explicit(&large->record, memory_order_relaxed);
    atomic_store_explicit(&large->record, record & ~LARGE_CLAIMED, memory_order_relaxed);
}

static void drop_claims(struct heap *heap)
{
    uint64_t zeroizing = atomic_load_explicit(&heap->zeroizing, memory_order_relaxed);
    uint64_t claims = atomic_load_explicit(&heap->claims, memory_order_relaxed);
    if (zeroizing + claims == 0) {
        return;
    }
    slab_visit_all(heap, drop_slot_claims, NULL);
    large_visit_all(heap, drop_large_claim, NULL);
    atomic_store_explicit(&heap->claims, 0, memory_order_relaxed);
    atomic_store_explicit(&heap->zeroizing, 0, memory_order_relaxed);
    if (zeroizing != 0) {
        /* It was called for, and its thread cannot end it here. */
        heap_zeroize(heap);
    }
}

/* ---- large runs of threads that do not exist here: spares, or on their way ---- */

static void recover_large(struct heap *heap, struct region *region, size_t page, void *context)
{
    (void)context;
    struct large *large = large_at(heap, region, page);
    struct run run = {region, page, pages_large_live(region, page)};
    uint64_t record = atomic_load_explicit(&large->record, memory_order_relaxed);
    if (run.count == 0) {
        return;
    }
    if (record != 0) {
        counter_add(&heap->large_count, 1);
        counter_add(&heap->large_bytes, large_record_size(record));
        return;
    }
    if (large->guarded && large->access != OS_READ_WRITE) {
        return; /* it was closed and could not be opened: it is empty, and stays as it is */
    }
    char *start = large_run(heap, region, page);
    size_t size = run.count << heap->page_shift;
    /* Written to only if it must be: the pages are still shared with the parent. */
    if (!wipe_slot_holds(start, size)) {
        wipe(start, size);
    }
    pages_give_large(&heap->pages, run);
}

/* Before the child locks again, and maybe closes what is free so that the rest fits its limit. */
static void give_spares(struct heap *heap)
{
    if (heap->forked_threaded) {
        caches_forget(heap);
        counter_set(&heap->large_count, 0);
        counter_set(&heap->large_bytes, 0);
        large_visit_all(heap, recover_large, NULL);
    } else if (cache_is_real(cache_mine)) {
        spares_empty(heap, cache_mine);
    }
}

/* ---- the child ---- */

static void reseed(struct heap *heap)
{
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        random_seed(&heap->slabs[class].random);
    }
}

static void start_empty(struct heap *heap)
{
    pages_drop(&heap->pages, true);
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        struct class_slabs *slabs = &heap->slabs[class];
        for (size_t bin = 0; bin < (size_t)HOMES * SLAB_BINS; bin++) {
            slabs->bins[bin] = NULL;
        }
        counter_set(&slabs->all_slots, 0);
        counter_set(&slabs->free_slots, 0);
        counter_set(&slabs->live_bytes, 0);
    }
    counter_set(&heap->large_count, 0);
    counter_set(&heap->large_bytes, 0);
    atomic_store_explicit(&heap->claims, 0, memory_order_relaxed);
    atomic_store_explicit(&heap->zeroizing, 0, memory_order_relaxed);
    reseed(heap);
}

static struct heap *relocked_heap; /* fork has one child at a time, and this is it */

static enum os_access access_of(const struct region *region, size_t page)
{
    return large_access_of(relocked_heap, region, page);
}

int heap_fork_child(struct heap *heap)
{
    enum os_fork fork = heap->pages.config.fork;
    int error = 0;
    heap_fork_done(heap); /* its thread is ours: what it locked, we unlock */
    if (fork != OS_FORK_DROP) {
        give_spares(heap);
        relocked_heap = heap;
        error = pages_relock(&heap->pages, access_of);
    }
    if (fork == OS_FORK_DROP || error != 0) {
        caches_forget(heap);
        start_empty(heap);
        atomic_store_explicit(&heap->owner, os_process_id(), memory_order_relaxed);
        return error;
    }
    reseed(heap);
    drop_claims(heap);
    if (heap->forked_threaded) {
        slab_recover_all(heap);
    } else {
        magazines_flush(heap);
    }
    atomic_store_explicit(&heap->wiped_by_fork, fork == OS_FORK_WIPE, memory_order_relaxed);
    return 0;
}
