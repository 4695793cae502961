/* SPDX-License-Identifier: ISC */
#include "heap/spare.h"

#include "base/check.h"
#include "heap/large.h"
#include "heap/magazine.h"

/* Of the room that is left, so much for one thread's. */
enum { SPARES_SHARE = 4 };

/* Room for so many bytes in all. Only a cache that is the thread's own gets any, and who has set
 * how much may stay in RAM gets none. What was refused once is not asked for again before they were
 * flushed: room that is given back meanwhile is for magazines. */
static NOINLINE void make_room(struct heap *heap, size_t wanted)
{
    struct cache *cache = cache_own(heap);
    if (!cache_is_real(cache) || heap->pages.config.purge_limit != UINT64_MAX) {
        return;
    }
    magazines_follow_epoch(heap, cache);
    struct spares *spares = &cache->spares;
    if (wanted <= spares->room || (spares->refused != 0 && wanted >= spares->refused)) {
        return;
    }
    size_t pages = (wanted - spares->room) >> heap->page_shift;
    mutex_lock(&heap->caches_mutex);
    uint64_t given = cache_reserve(heap, heap->page_size, 0, pages, SPARES_SHARE);
    if (given == pages) {
        spares->room = wanted;
    } else {
        heap->room_taken -= given << heap->page_shift;
        spares->refused = wanted;
    }
    mutex_unlock(&heap->caches_mutex);
}

struct spare spare_take(const struct heap *heap, size_t count)
{
    struct spares *spares = &cache_mine->spares;
    size_t kept = (size_t)counter_read(&spares->count);
    for (size_t i = kept; i-- > 0;) {
        struct spare spare = spares->kept[i];
        if (spare.large->count == count) {
            for (size_t j = i + 1; j < kept; j++) {
                spares->kept[j - 1] = spares->kept[j];
            }
            counter_set(&spares->count, kept - 1);
            counter_sub(&spares->bytes, count << heap->page_shift);
            spares->used = true;
            return spare;
        }
    }
    return (struct spare){NULL, NULL};
}

bool spare_put(struct heap *heap, const struct region *region, size_t first_page,
               struct spare spare)
{
    uint64_t epoch = atomic_load_explicit(&heap->epoch, memory_order_relaxed);
    size_t bytes = spare.large->count << heap->page_shift;
    if (bytes > SPARE_BYTES_MAX ||
        (heap->pages.config.best_effort && !pages_large_is_locked(region, first_page))) {
        return false;
    }
    struct spares *spares = &cache_mine->spares;
    uint64_t wanted = counter_read(&spares->bytes) + bytes;
    if (UNLIKELY(wanted > spares->room || cache_mine->epoch != epoch)) {
        make_room(heap, wanted <= SPARE_BYTES_MAX ? (size_t)wanted : 0);
        spares = &cache_mine->spares;
        wanted = counter_read(&spares->bytes) + bytes;
    }
    size_t kept = (size_t)counter_read(&spares->count);
    if (kept == SPARES_MAX || wanted > spares->room) {
        return false;
    }
    spares->kept[kept] = spare;
    counter_set(&spares->bytes, wanted);
    counter_set(&spares->count, kept + 1);
    return true;
}

static void give_back(struct heap *heap, struct spare spare)
{
    struct region *region = registry_find(&heap->pages.registry, spare.start);
    INVARIANT(region != NULL && region->kind == REGION_LARGE);
    size_t page = ((uintptr_t)spare.start - region->base) >> heap->page_shift;
    pages_give_large(&heap->pages, (struct run){region, page, spare.large->count});
}

void spares_empty(struct heap *heap, struct cache *cache)
{
    struct spares *spares = &cache->spares;
    size_t kept = (size_t)counter_read(&spares->count);
    counter_set(&spares->count, 0);
    counter_set(&spares->bytes, 0);
    spares->refused = 0;
    for (size_t i = 0; i < kept; i++) {
        give_back(heap, spares->kept[i]);
    }
    if (spares->room > 0) {
        mutex_lock(&heap->caches_mutex);
        heap->room_taken -= spares->room;
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
