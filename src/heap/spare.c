/* SPDX-License-Identifier: ISC */
#include "heap/spare.h"

#include "heap/magazine.h"

/* Makes room if there is none yet, and flushes what is kept if the thread was asked to. Only a
 * cache that is the thread's own gets room. */
static NOINLINE void prepare(struct heap *heap)
{
    struct cache *cache = cache_own(heap);
    if (!cache_is_real(cache)) {
        return;
    }
    magazines_follow_epoch(heap, cache);
    if (cache->spares.room == 0) {
        /* Who wants pages back sooner than that keeps none. */
        uint64_t most = heap->pages.config.purge_limit;
        most = most < SPARE_BYTES_MAX ? most : SPARE_BYTES_MAX;
        mutex_lock(&heap->caches_mutex);
        most = cache_reserve(heap, heap->page_size, 1, most >> heap->page_shift);
        cache->spares.room = most << heap->page_shift;
        mutex_unlock(&heap->caches_mutex);
    }
}

bool spare_take(struct heap *heap, size_t count, struct run *run)
{
    struct spares *spares = &cache_mine->spares;
    size_t kept = (size_t)counter_read(&spares->count);
    for (size_t i = kept; i-- > 0;) {
        if (spares->runs[i].count == count) {
            *run = spares->runs[i];
            for (size_t j = i + 1; j < kept; j++) {
                spares->runs[j - 1] = spares->runs[j];
            }
            counter_set(&spares->count, kept - 1);
            counter_sub(&spares->bytes, count << heap->page_shift);
            spares->used = true;
            return true;
        }
    }
    return false;
}

bool spare_put(struct heap *heap, struct region *region, size_t first_page, size_t count)
{
    uint64_t epoch = atomic_load_explicit(&heap->epoch, memory_order_relaxed);
    size_t bytes = count << heap->page_shift;
    if (bytes > SPARE_BYTES_MAX ||
        (heap->pages.config.best_effort && !pages_large_is_locked(region, first_page))) {
        return false;
    }
    if (UNLIKELY(cache_mine->spares.room == 0 || cache_mine->epoch != epoch)) {
        prepare(heap);
    }
    struct spares *spares = &cache_mine->spares;
    size_t kept = (size_t)counter_read(&spares->count);
    if (kept == SPARES_MAX || counter_read(&spares->bytes) + bytes > spares->room) {
        return false;
    }
    spares->runs[kept] = (struct run){region, first_page, count};
    counter_add(&spares->bytes, bytes);
    counter_set(&spares->count, kept + 1);
    return true;
}

void spares_empty(struct heap *heap, struct cache *cache)
{
    struct spares *spares = &cache->spares;
    size_t kept = (size_t)counter_read(&spares->count);
    counter_set(&spares->count, 0);
    counter_set(&spares->bytes, 0);
    for (size_t i = 0; i < kept; i++) {
        pages_give_large(&heap->pages, spares->runs[i]);
    }
    if (spares->room > 0) {
        mutex_lock(&heap->caches_mutex);
        heap->magazine_bytes -= spares->room;
        spares->room = 0;
        mutex_unlock(&heap->caches_mutex);
    }
}

void spares_empty_idle(struct heap *heap, struct cache *cache)
{
    if (!cache->spares.used) {
        spares_empty(heap, cache);
    }
    cache->spares.used = false;
}
