/* SPDX-License-Identifier: ISC */
#include "heap/magazine.h"

#include <string.h>

#include "base/check.h"

/* ---- refilling and flushing ---- */

/* What a magazine gives or gets at once. */
static uint32_t half(const struct magazine *magazine)
{
    return (magazine_capacity(magazine) + 1) / 2;
}

static void put_slots(struct heap *heap, uint32_t class, const struct slot *slots, size_t count)
{
    mutex_lock(&heap->slabs[class].mutex);
    slab_put(heap, class, slots, count);
    mutex_unlock(&heap->slabs[class].mutex);
}

enum taker { TAKER_NONE, TAKER_STOCK, TAKER_SLABS };

/* The oldest half of a full magazine goes to the stock; if that has no room, to the slabs, or not
 * at all. The most recent slots stay, still warm. Returns who took them. */
static enum taker give_oldest(struct heap *heap, struct magazine *magazine, uint32_t class,
                              bool to_slabs)
{
    enum taker taker = TAKER_STOCK;
    uint32_t capacity = magazine_capacity(magazine);
    uint32_t count = half(magazine);
    INVARIANT(magazine_count(magazine) == capacity);
    mutex_lock(&heap->slabs[class].mutex);
    if (!stock_put(heap, class, magazine->bottom, count)) {
        taker = to_slabs ? TAKER_SLABS : TAKER_NONE;
    }
    if (taker == TAKER_SLABS) {
        slab_put(heap, class, magazine->bottom, count);
    }
    mutex_unlock(&heap->slabs[class].mutex);
    if (taker != TAKER_NONE) {
        cache_mine->moved += count;
        memmove(magazine->bottom, magazine->bottom + count,
                (capacity - count) * sizeof(struct slot));
        magazine_set_top(magazine, magazine->bottom + (capacity - count));
    }
    return taker;
}

size_t magazine_empty(struct heap *heap, struct cache *cache, uint32_t class)
{
    struct magazine *magazine = &cache->magazines[class];
    uint32_t held = magazine_count(magazine);
    if (held > 0) {
        slab_put(heap, class, magazine->bottom, held);
        magazine_set_top(magazine, magazine->bottom);
    }
    if (magazine_capacity(magazine) > 0) {
        magazine_return_room(heap, cache, class);
    }
    return held;
}

static void empty_magazines(struct heap *heap, struct cache *cache)
{
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        /* Not looked at before: the stock's has another user. */
        mutex_lock(&heap->slabs[class].mutex);
        (void)magazine_empty(heap, cache, class);
        mutex_unlock(&heap->slabs[class].mutex);
    }
}

void magazines_empty(struct heap *heap, struct cache *cache)
{
    spares_empty(heap, cache);
    empty_magazines(heap, cache);
}

static void flush_stocks(struct heap *heap)
{
    for (uint32_t home = 0; home < HOMES; home++) {
        if (cache_stock(heap, home) != NULL) {
            empty_magazines(heap, cache_stock(heap, home));
        }
    }
}

void magazines_follow_epoch(struct heap *heap, struct cache *cache)
{
    uint64_t epoch = atomic_load_explicit(&heap->epoch, memory_order_relaxed);
    if (UNLIKELY(cache->epoch != epoch)) {
        cache->epoch = epoch;
        magazines_empty(heap, cache);
    }
}

/* The thread's magazine of a class, with room if there is any; NULL: it has none. */
static struct magazine *my_magazine(struct heap *heap, uint32_t class)
{
    struct cache *cache = cache_own(heap);
    if (!cache_is_real(cache)) {
        return NULL;
    }
    magazines_follow_epoch(heap, cache);
    struct magazine *magazine = &cache->magazines[class];
    if (magazine_capacity(magazine) == 0) {
        magazine_reserve_room(heap, cache, class, 0);
    }
    return magazine_capacity(magazine) > 0 ? magazine : NULL;
}

/* ---- with the stock alone ---- */

/* The thread's magazine of a class, if there is nothing to see to first: NULL. */
static struct magazine *ready_magazine(const struct heap *heap, uint32_t class)
{
    struct cache *cache = cache_mine;
    struct magazine *magazine = &cache->magazines[class];
    bool ready = magazine_capacity(magazine) > 0 &&
                 cache->epoch == atomic_load_explicit(&heap->epoch, memory_order_relaxed);
    return LIKELY(ready) ? magazine : NULL;
}

bool magazine_refill_from_stock(struct heap *heap, uint32_t class)
{
    struct magazine *magazine = ready_magazine(heap, class);
    if (magazine == NULL || magazine_count(magazine) > 0) {
        return false;
    }
    struct slab_request request = {class, cache_mine->home, magazine->bottom, half(magazine),
                                   false};
    mutex_lock(&heap->slabs[class].mutex);
    size_t taken = stock_take(heap, &request);
    mutex_unlock(&heap->slabs[class].mutex);
    magazine_set_top(magazine, magazine->bottom + taken);
    cache_mine->moved += (int64_t)taken;
    return taken > 0;
}

bool magazine_overflow_to_stock(struct heap *heap, uint32_t class)
{
    struct magazine *magazine = ready_magazine(heap, class);
    return magazine != NULL && give_oldest(heap, magazine, class, false) != TAKER_NONE;
}

/* ---- in every way ---- */

struct slot magazine_refill(struct heap *heap, uint32_t class, int *error)
{
    struct slot slot = {NULL, NULL};
    struct magazine *magazine = my_magazine(heap, class);
    struct slab_request request = {class, cache_mine->home, &slot, 1, false};
    if (magazine != NULL) {
        request.slots = magazine->bottom;
        request.count = half(magazine);
    }
    INVARIANT(magazine == NULL || magazine_count(magazine) == 0);
    mutex_lock(&heap->slabs[class].mutex);
    size_t taken = stock_take(heap, &request);
    bool from_slabs = taken == 0;
    if (taken == 0) {
        taken = slab_take(heap, &request, error);
    }
    if (taken == 0) {
        /* Before anything is released, or used unlocked: what the stocks hold. */
        (void)stocks_empty(heap, class);
        request.any_way = true;
        taken = slab_take(heap, &request, error);
    }
    mutex_unlock(&heap->slabs[class].mutex);
    if (taken > 0 && magazine != NULL) {
        slot = magazine->bottom[taken - 1];
        magazine_set_top(magazine, magazine->bottom + taken - 1);
        cache_mine->moved += (int64_t)taken;
        if (from_slabs) {
            magazines_look_for_idle(heap);
        }
    }
    return slot;
}

void magazine_overflow(struct heap *heap, uint32_t class, struct slot slot)
{
    struct magazine *magazine = my_magazine(heap, class);
    if (magazine == NULL) {
        put_slots(heap, class, &slot, 1);
    } else {
        bool full = magazine_count(magazine) == magazine_capacity(magazine);
        bool to_slabs = full && give_oldest(heap, magazine, class, true) == TAKER_SLABS;
        (void)magazine_push(magazine, slot);
        if (to_slabs) {
            magazines_look_for_idle(heap);
        }
    }
    magazines_purge_if_due(heap);
}

void magazines_purge_if_due(struct heap *heap)
{
    if (UNLIKELY(pages_purge_due(&heap->pages)) && cache_is_real(cache_mine)) {
        spares_empty_idle(heap, cache_mine);
    }
}

void magazine_count_bytes(struct heap *heap, uint32_t class, int64_t bytes)
{
    if (cache_is_real(cache_mine)) {
        counter_add(&cache_mine->magazines[class].live_bytes, (uint64_t)bytes);
    } else {
        counter_add_shared(&heap->slabs[class].live_bytes, (uint64_t)bytes);
    }
}

void magazines_flush(struct heap *heap)
{
    atomic_fetch_add_explicit(&heap->epoch, 1, memory_order_relaxed);
    if (cache_is_real(cache_mine)) {
        magazines_follow_epoch(heap, cache_mine);
    }
    flush_stocks(heap);
}
