/* SPDX-License-Identifier: ISC */
/* Magazines that nobody uses any more. */
#include "heap/magazine.h"

/* Does the thread's own magazine look as it did at the last look? It was not used then, or might as
 * well not have been. */
static bool is_idle(struct cache *cache, uint32_t class)
{
    const struct slot *top = magazine_top(&cache->magazines[class]);
    uint64_t bytes = counter_read(&cache->magazines[class].live_bytes);
    bool idle = top == cache->seen[class].top && bytes == cache->seen[class].live_bytes;
    cache->seen[class].top = top;
    cache->seen[class].live_bytes = bytes;
    return idle;
}

/* Has no thread exchanged slots with a stock since then? Under the class's mutex. */
static bool stocks_are_idle(const struct heap *heap, struct cache *cache, uint32_t class)
{
    uint64_t exchanges = 0;
    for (uint32_t home = 0; home < HOMES; home++) {
        const struct cache *stock = cache_stock(heap, home);
        exchanges += stock != NULL ? stock->exchanges[class] : 0;
    }
    bool idle = exchanges == cache->seen[class].exchanges;
    cache->seen[class].exchanges = exchanges;
    return idle;
}

/* What nobody uses pins slabs: it goes back, and with it, maybe, pages to a class that needs some
 * now. Exchanges with a stock are far apart where the class is in use: so that is looked at only if
 * the thread's own magazine is idle. Returns how many slots went. */
static size_t empty_idle(struct heap *heap, struct cache *cache, uint32_t class)
{
    if (!is_idle(cache, class)) {
        return 0;
    }
    mutex_lock(&heap->slabs[class].mutex);
    size_t emptied = magazine_empty(heap, cache, class);
    cache->seen[class].top = magazine_top(&cache->magazines[class]);
    if (stocks_are_idle(heap, cache, class)) {
        emptied += stocks_empty(heap, class);
    }
    mutex_unlock(&heap->slabs[class].mutex);
    return emptied;
}

/* Classes of which this thread, or a stock, has a magazine. */
static uint64_t roomy_classes(const struct heap *heap, const struct cache *cache)
{
    uint64_t roomy = atomic_load_explicit(&cache->roomy, memory_order_relaxed);
    for (uint32_t home = 0; home < HOMES; home++) {
        const struct cache *stock = cache_stock(heap, home);
        if (stock != NULL) {
            roomy |= atomic_load_explicit(&stock->roomy, memory_order_relaxed);
        }
    }
    return roomy;
}

/*
 * On its way to the slabs a thread looks for idle magazines now and then, so that sizes that are no
 * longer in demand are found by those that are: once for so many slots that its magazines gave or
 * got, because it had use for them. What it empties counts against that, or looking would make the
 * next way to the slabs come sooner, and that the next look, until nothing stays in any magazine.
 */
enum { SLOTS_A_LOOK = 128 };

void magazines_look_for_idle(struct heap *heap)
{
    struct cache *cache = cache_mine;
    if (cache->moved < SLOTS_A_LOOK) {
        return;
    }
    cache->moved = 0;
    for (uint64_t left = roomy_classes(heap, cache); left != 0; left &= left - 1) {
        uint32_t class = (uint32_t)__builtin_ctzll(left);
        cache->moved -= (int64_t)empty_idle(heap, cache, class);
    }
}
