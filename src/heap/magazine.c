/* SPDX-License-Identifier: ISC */
#include "heap/magazine.h"

#include <string.h>

#include "base/check.h"

/* ---- room ---- */

static void reserve_room(struct heap *heap, struct magazine *magazine, uint32_t class)
{
    const struct size_class *c = &heap->classes.at[class];
    mutex_lock(&heap->caches_mutex);
    magazine->limit =
        magazine->bottom + cache_reserve(heap, c->slot_size, MAGAZINE_SLOTS_MIN, c->magazine);
    mutex_unlock(&heap->caches_mutex);
}

static void return_room(struct heap *heap, struct magazine *magazine, uint32_t class)
{
    const struct size_class *c = &heap->classes.at[class];
    mutex_lock(&heap->caches_mutex);
    heap->room_taken -= (uint64_t)magazine_capacity(magazine) * c->slot_size;
    magazine->limit = magazine->bottom;
    mutex_unlock(&heap->caches_mutex);
}

/* ---- the stock; under the class's mutex ---- */

static struct magazine *stock_of(struct heap *heap, uint32_t home, uint32_t class)
{
    struct cache *stock = cache_stock(heap, home);
    return stock != NULL ? &stock->magazines[class] : NULL;
}

/* To the home of the first one: mostly all have the same. false: there is no room for all of them.
 */
static bool stock_put(struct heap *heap, uint32_t class, const struct slot *slots, size_t count)
{
    struct magazine *stock = stock_of(heap, slab_home(heap, slots), class);
    if (stock == NULL) {
        return false;
    }
    if (magazine_capacity(stock) == 0) {
        reserve_room(heap, stock, class);
    }
    struct slot *top = magazine_top(stock);
    if ((size_t)(stock->limit - top) < count) {
        return false;
    }
    memcpy(top, slots, count * sizeof(*slots));
    magazine_set_top(stock, top + count);
    return true;
}

static size_t stock_take(struct heap *heap, const struct slab_request *request)
{
    struct magazine *stock = stock_of(heap, request->home, request->class);
    size_t held = stock != NULL ? magazine_count(stock) : 0;
    size_t taken = held < request->count ? held : request->count;
    if (taken > 0) {
        struct slot *top = magazine_top(stock) - taken;
        memcpy(request->slots, top, taken * sizeof(*top));
        magazine_set_top(stock, top);
    }
    return taken;
}

/* ---- refilling and flushing ---- */

static void put_slots(struct heap *heap, uint32_t class, const struct slot *slots, size_t count)
{
    mutex_lock(&heap->slabs[class].mutex);
    slab_put(heap, class, slots, count);
    mutex_unlock(&heap->slabs[class].mutex);
}

/* The most recent slots stay, still warm; the oldest `count` go. */
static void give_oldest(struct heap *heap, struct magazine *magazine, uint32_t class,
                        uint32_t count)
{
    uint32_t held = magazine_count(magazine);
    mutex_lock(&heap->slabs[class].mutex);
    if (!stock_put(heap, class, magazine->bottom, count)) {
        slab_put(heap, class, magazine->bottom, count);
    }
    mutex_unlock(&heap->slabs[class].mutex);
    memmove(magazine->bottom, magazine->bottom + count, (held - count) * sizeof(struct slot));
    magazine_set_top(magazine, magazine->bottom + (held - count));
}

/* All slots of a magazine go to their slabs, and its room to whoever wants it. */
static void empty(struct heap *heap, struct magazine *magazine, uint32_t class)
{
    uint32_t held = magazine_count(magazine);
    if (held > 0) {
        slab_put(heap, class, magazine->bottom, held);
        magazine_set_top(magazine, magazine->bottom);
    }
    if (magazine_capacity(magazine) > 0) {
        return_room(heap, magazine, class);
    }
}

/* Of one class, whose mutex is held. */
static void empty_stocks(struct heap *heap, uint32_t class)
{
    for (uint32_t home = 0; home < HOMES; home++) {
        if (cache_stock(heap, home) != NULL) {
            empty(heap, &cache_stock(heap, home)->magazines[class], class);
        }
    }
}

static void empty_magazines(struct heap *heap, struct cache *cache)
{
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        /* Not looked at before: the stock's has another user. */
        mutex_lock(&heap->slabs[class].mutex);
        empty(heap, &cache->magazines[class], class);
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

/* A magazine that looks as it did at the last look was not used, or might as well not have been:
 * its slots pin slabs, so they go back, and with them, maybe, pages to a class that needs some now.
 */
static void flush_idle(struct heap *heap, struct cache *cache)
{
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        struct magazine *magazine = &cache->magazines[class];
        mutex_lock(&heap->slabs[class].mutex);
        const struct slot *top = magazine_top(magazine);
        uint64_t bytes = counter_read(&magazine->live_bytes);
        if (top == cache->seen[class].top && bytes == cache->seen[class].live_bytes) {
            empty(heap, magazine, class);
        }
        cache->seen[class].top = magazine_top(magazine);
        cache->seen[class].live_bytes = bytes;
        mutex_unlock(&heap->slabs[class].mutex);
    }
}

static void look_for_idle(struct heap *heap, struct cache *cache)
{
    flush_idle(heap, cache);
    spares_empty_idle(heap, cache);
    for (uint32_t home = 0; home < HOMES; home++) {
        if (cache_stock(heap, home) != NULL) {
            flush_idle(heap, cache_stock(heap, home));
        }
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
        reserve_room(heap, magazine, class);
    }
    return magazine_capacity(magazine) > 0 ? magazine : NULL;
}

struct slot magazine_refill(struct heap *heap, uint32_t class, int *error)
{
    struct slot slot = {NULL, NULL};
    struct magazine *magazine = my_magazine(heap, class);
    struct slab_request request = {class, cache_mine->home, &slot, 1, false};
    if (magazine != NULL) {
        request.slots = magazine->bottom;
        request.count = (magazine_capacity(magazine) + 1) / 2;
    }
    INVARIANT(magazine == NULL || magazine_count(magazine) == 0);
    mutex_lock(&heap->slabs[class].mutex);
    size_t taken = stock_take(heap, &request);
    if (taken == 0) {
        taken = slab_take(heap, &request, error);
    }
    if (taken == 0) {
        /* Before anything is released, or used unlocked: what the stocks hold. */
        empty_stocks(heap, class);
        request.any_way = true;
        taken = slab_take(heap, &request, error);
    }
    mutex_unlock(&heap->slabs[class].mutex);
    if (taken > 0 && magazine != NULL) {
        slot = magazine->bottom[taken - 1];
        magazine_set_top(magazine, magazine->bottom + taken - 1);
    }
    return slot;
}

void magazine_overflow(struct heap *heap, uint32_t class, struct slot slot)
{
    struct magazine *magazine = my_magazine(heap, class);
    if (magazine == NULL) {
        put_slots(heap, class, &slot, 1);
    } else {
        uint32_t capacity = magazine_capacity(magazine);
        if (magazine_count(magazine) == capacity) {
            give_oldest(heap, magazine, class, (capacity + 1) / 2);
        }
        (void)magazine_push(magazine, slot);
    }
    /* What was purged shows that other sizes are in demand now than before. */
    if (UNLIKELY(pages_purge_due(&heap->pages)) && magazine != NULL) {
        look_for_idle(heap, cache_mine);
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
