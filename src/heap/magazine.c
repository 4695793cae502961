/* SPDX-License-Identifier: ISC */
#include "heap/magazine.h"

#include "base/check.h"
#include "policy/lock_budget.h"

struct cache cache_none;
struct cache cache_dead;

__thread struct cache *cache_mine __attribute__((tls_model("initial-exec"))) = &cache_none;

static cache_exit_hook *exit_hook;

void cache_set_exit_hook(cache_exit_hook *hook)
{
    exit_hook = hook;
}

static bool is_real(const struct cache *cache)
{
    return cache != &cache_none && cache != &cache_dead;
}

/* ---- a thread's cache ---- */

/* Under caches_mutex. */
static struct cache *find_cache(struct heap *heap)
{
    struct cache *cache = heap->caches;
    while (cache != NULL && cache->in_use) {
        cache = cache->next;
    }
    if (cache == NULL) {
        cache = bookkeeping_take(&heap->pages.bookkeeping, sizeof(*cache));
        if (cache == NULL) {
            return NULL;
        }
        cache->next = heap->caches;
        heap->caches = cache;
    }
    cache->in_use = true;
    cache->epoch = atomic_load_explicit(&heap->epoch, memory_order_relaxed);
    return cache;
}

static struct cache *my_cache(struct heap *heap)
{
    if (LIKELY(cache_mine != &cache_none)) {
        return cache_mine;
    }
    mutex_lock(&heap->caches_mutex);
    struct cache *cache = find_cache(heap);
    mutex_unlock(&heap->caches_mutex);
    if (cache == NULL) {
        return cache_mine;
    }
    cache_mine = cache;
    if (exit_hook != NULL && !exit_hook(cache)) {
        cache_mine = &cache_dead;
        cache_retire(heap, cache);
    }
    return cache_mine;
}

/* ---- room ---- */

/* All magazines together may hold 1/16 of the lock limit: each slot in one pins a slab. */
static void reserve_room(struct heap *heap, struct magazine *magazine, uint32_t class)
{
    const struct size_class *c = &heap->classes.at[class];
    uint64_t limit =
        lock_budget_magazines(atomic_load_explicit(&heap->pages.limit_seen, memory_order_relaxed));
    mutex_lock(&heap->caches_mutex);
    uint64_t left = limit > heap->magazine_bytes ? limit - heap->magazine_bytes : 0;
    uint64_t fits = left / c->slot_size;
    uint32_t capacity = fits < c->magazine ? (uint32_t)fits : c->magazine;
    magazine->capacity = capacity >= MAGAZINE_SLOTS_MIN ? capacity : 0;
    heap->magazine_bytes += (uint64_t)magazine->capacity * c->slot_size;
    mutex_unlock(&heap->caches_mutex);
}

static void return_room(struct heap *heap, struct magazine *magazine, uint32_t class)
{
    const struct size_class *c = &heap->classes.at[class];
    mutex_lock(&heap->caches_mutex);
    heap->magazine_bytes -= (uint64_t)magazine->capacity * c->slot_size;
    magazine->capacity = 0;
    mutex_unlock(&heap->caches_mutex);
}

/* ---- refilling and flushing ---- */

static void put_slots(struct heap *heap, uint32_t class, const struct slot *slots, size_t count)
{
    mutex_lock(&heap->slabs[class].mutex);
    slab_put(heap, class, slots, count);
    mutex_unlock(&heap->slabs[class].mutex);
}

/* The most recent slots stay, still warm; the oldest `count` go. */
static void flush(struct heap *heap, struct magazine *magazine, uint32_t class, uint32_t count)
{
    uint32_t held = magazine_count(magazine);
    put_slots(heap, class, magazine->slots, count);
    for (uint32_t i = count; i < held; i++) {
        magazine->slots[i - count] = magazine->slots[i];
    }
    magazine_set_count(magazine, held - count);
}

static void flush_all(struct heap *heap, struct cache *cache)
{
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        struct magazine *magazine = &cache->magazines[class];
        uint32_t held = magazine_count(magazine);
        if (held > 0) {
            flush(heap, magazine, class, held);
        }
        if (magazine->capacity > 0) {
            return_room(heap, magazine, class);
        }
    }
}

static void follow_epoch(struct heap *heap, struct cache *cache)
{
    uint64_t epoch = atomic_load_explicit(&heap->epoch, memory_order_relaxed);
    if (UNLIKELY(cache->epoch != epoch)) {
        cache->epoch = epoch;
        flush_all(heap, cache);
    }
}

/* The thread's magazine of a class, with room if there is any; NULL: it has none. */
static struct magazine *my_magazine(struct heap *heap, uint32_t class)
{
    struct cache *cache = my_cache(heap);
    if (!is_real(cache)) {
        return NULL;
    }
    follow_epoch(heap, cache);
    struct magazine *magazine = &cache->magazines[class];
    if (magazine->capacity == 0) {
        reserve_room(heap, magazine, class);
    }
    return magazine->capacity > 0 ? magazine : NULL;
}

struct slot magazine_refill(struct heap *heap, uint32_t class, int *error)
{
    struct slot slots[MAGAZINE_SLOTS_MAX];
    struct magazine *magazine = my_magazine(heap, class);
    size_t wanted = magazine != NULL ? (magazine->capacity + 1) / 2 : 1;
    INVARIANT(magazine == NULL || magazine_count(magazine) == 0);
    mutex_lock(&heap->slabs[class].mutex);
    size_t taken = slab_take(heap, class, slots, wanted, error);
    mutex_unlock(&heap->slabs[class].mutex);
    if (taken == 0) {
        return (struct slot){NULL, NULL};
    }
    for (size_t i = 1; i < taken; i++) {
        (void)magazine_push(magazine, slots[i]);
    }
    return slots[0];
}

void magazine_overflow(struct heap *heap, uint32_t class, struct slot slot)
{
    struct magazine *magazine = my_magazine(heap, class);
    if (magazine == NULL) {
        put_slots(heap, class, &slot, 1);
    } else {
        if (magazine_count(magazine) == magazine->capacity) {
            flush(heap, magazine, class, (magazine->capacity + 1) / 2);
        }
        (void)magazine_push(magazine, slot);
    }
    pages_purge_due(&heap->pages);
}

void magazine_count_bytes(struct heap *heap, uint32_t class, int64_t bytes)
{
    if (is_real(cache_mine)) {
        counter_add(&cache_mine->magazines[class].live_bytes, (uint64_t)bytes);
    } else {
        counter_add_shared(&heap->slabs[class].live_bytes, (uint64_t)bytes);
    }
}

void magazines_flush(struct heap *heap)
{
    atomic_fetch_add_explicit(&heap->epoch, 1, memory_order_relaxed);
    if (is_real(cache_mine)) {
        follow_epoch(heap, cache_mine);
    }
}

void cache_retire(struct heap *heap, struct cache *cache)
{
    flush_all(heap, cache);
    mutex_lock(&heap->caches_mutex);
    cache->in_use = false;
    mutex_unlock(&heap->caches_mutex);
    pages_purge_due(&heap->pages);
}

/* ---- all caches ---- */

void caches_forget(struct heap *heap)
{
    heap->magazine_bytes = 0;
    for (struct cache *cache = heap->caches; cache != NULL; cache = cache->next) {
        cache->in_use = cache == cache_mine;
        for (uint32_t class = 0; class < CLASS_MAX; class ++) {
            magazine_set_count(&cache->magazines[class], 0);
            cache->magazines[class].capacity = 0;
            counter_set(&cache->magazines[class].live_bytes, 0);
        }
    }
}

uint64_t caches_slots(struct heap *heap)
{
    uint64_t slots = 0;
    mutex_lock(&heap->caches_mutex);
    for (struct cache *cache = heap->caches; cache != NULL; cache = cache->next) {
        for (uint32_t class = 0; class < CLASS_MAX; class ++) {
            slots += magazine_count(&cache->magazines[class]);
        }
    }
    mutex_unlock(&heap->caches_mutex);
    return slots;
}

uint64_t caches_live_bytes(struct heap *heap)
{
    uint64_t bytes = 0;
    mutex_lock(&heap->caches_mutex);
    for (struct cache *cache = heap->caches; cache != NULL; cache = cache->next) {
        for (uint32_t class = 0; class < CLASS_MAX; class ++) {
            bytes += counter_read(&cache->magazines[class].live_bytes);
        }
    }
    mutex_unlock(&heap->caches_mutex);
    return bytes;
}

void caches_validate(struct heap *heap)
{
    uint64_t room = 0;
    mutex_lock(&heap->caches_mutex);
    for (struct cache *cache = heap->caches; cache != NULL; cache = cache->next) {
        for (uint32_t class = 0; class < heap->classes.count; class ++) {
            const struct magazine *magazine = &cache->magazines[class];
            REQUIRE(magazine_count(magazine) <= magazine->capacity);
            REQUIRE(cache->in_use || magazine->capacity == 0);
            room += (uint64_t)magazine->capacity * heap->classes.at[class].slot_size;
        }
    }
    REQUIRE(room == heap->magazine_bytes);
    mutex_unlock(&heap->caches_mutex);
}
