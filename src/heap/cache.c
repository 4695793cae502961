/* SPDX-License-Identifier: ISC */
/* Caches: where a thread finds its magazines, and the sums over all of them. */
#include <string.h>

#include "base/check.h"
#include "heap/magazine.h"
#include "policy/lock_budget.h"

struct cache cache_none;
struct cache cache_dead;

__thread struct cache *cache_mine __attribute__((tls_model("initial-exec"))) = &cache_none;

static cache_exit_hook *exit_hook;

void cache_set_exit_hook(cache_exit_hook *hook)
{
    exit_hook = hook;
}

bool cache_is_real(const struct cache *cache)
{
    return cache != &cache_none && cache != &cache_dead;
}

/* ---- a thread's cache ---- */

/* Under caches_mutex. */
static struct cache *make_cache(struct heap *heap, uint32_t home)
{
    size_t size = sizeof(struct cache) + heap->classes.cached * sizeof(struct slot);
    struct cache *cache = bookkeeping_take(&heap->pages.bookkeeping, size);
    for (uint32_t class = 0; cache != NULL && class < heap->classes.count; class ++) {
        struct magazine *magazine = &cache->magazines[class];
        magazine->bottom = cache->slots + heap->classes.at[class].cached;
        magazine->limit = magazine->bottom;
        magazine_set_top(magazine, magazine->bottom);
    }
    if (cache != NULL) {
        cache->size_max = heap->classes.size_max;
        cache->home = home;
        cache->next = heap->caches;
        heap->caches = cache;
        cache->in_use = true;
    }
    return cache;
}

/* Under caches_mutex. */
static struct cache *find_cache(struct heap *heap)
{
    struct cache *cache = heap->caches;
    while (cache != NULL && cache->in_use) {
        cache = cache->next;
    }
    if (cache == NULL) {
        cache = make_cache(heap, heap->next_home);
        if (cache == NULL) {
            return NULL;
        }
        heap->next_home = (heap->next_home + 1) % HOMES;
    }
    if (cache_stock(heap, cache->home) == NULL) {
        struct cache *stock = make_cache(heap, cache->home);
        atomic_store_explicit(&heap->stocks[cache->home], stock, memory_order_release);
    }
    cache->in_use = true;
    cache->epoch = atomic_load_explicit(&heap->epoch, memory_order_relaxed);
    return cache;
}

struct cache *cache_own(struct heap *heap)
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

static uint64_t room_left(const struct heap *heap)
{
    uint64_t limit =
        lock_budget_magazines(atomic_load_explicit(&heap->pages.limit_seen, memory_order_relaxed));
    return limit > heap->room_taken ? limit - heap->room_taken : 0;
}

uint64_t cache_reserve(struct heap *heap, uint64_t unit, uint64_t least, uint64_t most,
                       uint64_t share)
{
    uint64_t left = room_left(heap);
    uint64_t fits = left / share / unit;
    if (fits < least) {
        fits = left / unit >= least ? least : 0;
    }
    uint64_t units = fits < most ? fits : most;
    heap->room_taken += units * unit;
    return units;
}

/* Of what is left, so much for one: most programs use some twenty-five classes. And half a magazine
 * at the most, unless there is room for many whole ones: else those that come first, of this thread
 * or of others, leave too little to the rest. */
enum { MAGAZINE_SHARE = 16, WHOLE_MAGAZINES = 64 };

static uint64_t most_slots(const struct heap *heap, const struct size_class *c)
{
    uint64_t whole = (uint64_t)c->magazine * c->slot_size;
    return room_left(heap) / WHOLE_MAGAZINES >= whole ? c->magazine : (c->magazine + 1) / 2;
}

_Static_assert(CLASS_MAX <= 64, "a class has a bit of its own in roomy");

static void set_roomy(struct cache *cache, uint32_t class, bool roomy)
{
    uint64_t bit = UINT64_C(1) << class;
    uint64_t others = atomic_load_explicit(&cache->roomy, memory_order_relaxed) & ~bit;
    atomic_store_explicit(&cache->roomy, others | (roomy ? bit : 0), memory_order_relaxed);
}

void magazine_reserve_room(struct heap *heap, struct cache *cache, uint32_t class, uint64_t least)
{
    const struct size_class *c = &heap->classes.at[class];
    struct magazine *magazine = &cache->magazines[class];
    least = least > MAGAZINE_SLOTS_MIN ? least : MAGAZINE_SLOTS_MIN;
    mutex_lock(&heap->caches_mutex);
    uint64_t most = most_slots(heap, c);
    most = most > least ? most : least;
    magazine->limit =
        magazine->bottom + cache_reserve(heap, c->slot_size, least, most, MAGAZINE_SHARE);
    set_roomy(cache, class, magazine_capacity(magazine) > 0);
    mutex_unlock(&heap->caches_mutex);
}

void magazine_return_room(struct heap *heap, struct cache *cache, uint32_t class)
{
    const struct size_class *c = &heap->classes.at[class];
    struct magazine *magazine = &cache->magazines[class];
    mutex_lock(&heap->caches_mutex);
    heap->room_taken -= (uint64_t)magazine_capacity(magazine) * c->slot_size;
    magazine->limit = magazine->bottom;
    set_roomy(cache, class, false);
    mutex_unlock(&heap->caches_mutex);
}

/* ---- shortcuts ---- */

struct shortcut shortcut_to(const struct region *region, unsigned page_shift)
{
    return (struct shortcut){
        .base = region->base,
        .places = (region->count << page_shift) / SLOT_ALIGNMENT,
        .entries = region->entries,
        .records = slab_record(region, 0),
    };
}

void cache_remember(struct cache *cache, const struct shortcut *shortcut, const void *pointer)
{
    if (cache_is_real(cache)) {
        *cache_shortcut(cache, pointer) = *shortcut;
    }
}

void cache_retire(struct heap *heap, struct cache *cache)
{
    magazines_empty(heap, cache);
    mutex_lock(&heap->caches_mutex);
    cache->in_use = false;
    mutex_unlock(&heap->caches_mutex);
    (void)pages_purge_due(&heap->pages);
}

/* ---- all caches ---- */

void caches_forget(struct heap *heap)
{
    heap->room_taken = 0;
    for (struct cache *cache = heap->caches; cache != NULL; cache = cache->next) {
        cache->in_use = cache == cache_mine || cache == cache_stock(heap, cache->home);
        if (cache != cache_mine) { /* its thread may have been halfway through making one */
            memset(cache->shortcuts, 0, sizeof(cache->shortcuts));
        }
        memset(&cache->spares, 0, sizeof(cache->spares));
        atomic_store_explicit(&cache->roomy, 0, memory_order_relaxed);
        for (uint32_t class = 0; class < CLASS_MAX; class ++) {
            struct magazine *magazine = &cache->magazines[class];
            magazine_set_top(magazine, magazine->bottom);
            magazine->limit = magazine->bottom;
            counter_set(&magazine->live_bytes, 0);
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

void caches_spares(struct heap *heap, uint64_t *count, uint64_t *bytes)
{
    *count = 0;
    *bytes = 0;
    mutex_lock(&heap->caches_mutex);
    for (struct cache *cache = heap->caches; cache != NULL; cache = cache->next) {
        *count += counter_read(&cache->spares.count);
        *bytes += counter_read(&cache->spares.bytes);
    }
    mutex_unlock(&heap->caches_mutex);
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
            uint32_t capacity = magazine_capacity(magazine);
            REQUIRE(magazine_count(magazine) <= capacity);
            REQUIRE(cache->in_use || capacity == 0);
            REQUIRE((capacity > 0) == ((cache->roomy >> class & 1) != 0));
            room += (uint64_t)capacity * heap->classes.at[class].slot_size;
        }
        REQUIRE(cache->in_use || cache->spares.room == 0);
        room += cache->spares.room;
    }
    REQUIRE(room == heap->room_taken);
    mutex_unlock(&heap->caches_mutex);
}
