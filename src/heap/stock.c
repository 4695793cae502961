/* SPDX-License-Identifier: ISC */
#include "heap/magazine.h"

#include <string.h>

/* That of the first one's home: mostly all have the same. To ask the slab for it takes longer than
 * all the rest, so where there is one home, it is not asked. */
static struct cache *stock_for(const struct heap *heap, const struct slot *slots)
{
    bool one_home = cache_stock(heap, 1) == NULL;
    return cache_stock(heap, one_home ? 0 : slab_home(heap, slots));
}

bool stock_put(struct heap *heap, uint32_t class, const struct slot *slots, size_t count)
{
    struct cache *cache = stock_for(heap, slots);
    if (cache == NULL) {
        return false;
    }
    struct magazine *stock = &cache->magazines[class];
    if (magazine_capacity(stock) == 0) {
        magazine_reserve_room(heap, cache, class, count);
    }
    struct slot *top = magazine_top(stock);
    if ((size_t)(stock->limit - top) < count) {
        return false;
    }
    memcpy(top, slots, count * sizeof(*slots));
    magazine_set_top(stock, top + count);
    cache->exchanges[class]++;
    return true;
}

size_t stock_take(struct heap *heap, const struct slab_request *request)
{
    struct cache *cache = cache_stock(heap, request->home);
    if (cache == NULL) {
        return 0;
    }
    struct magazine *stock = &cache->magazines[request->class];
    size_t held = magazine_count(stock);
    size_t taken = held < request->count ? held : request->count;
    if (taken > 0) {
        struct slot *top = magazine_top(stock) - taken;
        memcpy(request->slots, top, taken * sizeof(*top));
        magazine_set_top(stock, top);
        cache->exchanges[request->class]++;
    }
    return taken;
}

size_t stocks_empty(struct heap *heap, uint32_t class)
{
    size_t held = 0;
    for (uint32_t home = 0; home < HOMES; home++) {
        if (cache_stock(heap, home) != NULL) {
            held += magazine_empty(heap, cache_stock(heap, home), class);
        }
    }
    return held;
}
