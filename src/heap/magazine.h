/* SPDX-License-Identifier: ISC */
/*
 * Magazines: each thread's small stacks of free slots, one a class. Handing out and taking back
 * touch no mutex, make no system call, and share no cache line with another thread but that of the
 * slot's own record.
 *
 * A cache is a thread's magazines. The thread's pointer to it, the one thread-local variable of the
 * library, is never NULL: at first it names cache_none, and cache_dead once the thread's cache was
 * flushed at its exit. Both have no room and are shared by all threads: the fast path finds nothing
 * there and goes the slow way, which never writes to them.
 *
 * One more cache of each home is no thread's: the stock. A magazine that is full gives half of
 * itself to the stock's magazine of its class, and one that is empty takes from there, by copying a
 * few words. So what one thread frees and another allocates, and what one thread has too many of
 * now and too few soon, does not go through the slabs. Slots go to the stock of the home that their
 * slab has. Whoever holds a class's mutex may use the stocks' magazines of it.
 */
#ifndef SECURE_MALLOC_HEAP_MAGAZINE_H
#define SECURE_MALLOC_HEAP_MAGAZINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap/heap.h"
#include "heap/slab.h"
#include "heap/spare.h"

/* Written by its thread alone. Slots lie in it from the bottom up: free, their records 0, and wiped
 * but for one that the thread is about to wipe. All three are NULL in a cache that has no room. */
struct magazine {
    _Atomic(struct slot *) top; /* the place of the next one */
    struct slot *bottom;
    struct slot *limit; /* bottom: no room was reserved for it (yet) */
    counter live_bytes; /* handed out less taken back by this thread: may be below 0 */
};

/* What free wants to know of a region of slabs. */
struct shortcut {
    uintptr_t base;
    size_t places; /* units of SLOT_ALIGNMENT; 0: it leads nowhere */
    page_entry *entries;
    slot_record *records;
};

/* Enough for 64 MiB of slabs, if they lie together. */
enum { SHORTCUTS = 64 };

struct cache {
    struct magazine magazines[CLASS_MAX];
    uint32_t home;
    int64_t moved;   /* slots, from or to stocks and slabs, since the last look: see heap/idle.c */
    size_t size_max; /* that has a slot; for whoever may not look at the heap yet */
    /* To regions that this thread freed slots of, by granule. */
    struct shortcut shortcuts[SHORTCUTS];
    struct spares spares;
    struct cache *next; /* of all caches */
    bool in_use;        /* under caches_mutex */
    uint64_t epoch;
    _Atomic uint64_t roomy; /* a bit for each magazine that has room; under caches_mutex */
    /* How often slots came or went, if this is a stock; under the classes' mutexes. */
    uint64_t exchanges[CLASS_MAX];
    /* What this thread saw when it last looked for idle magazines: see heap/idle.c. */
    struct {
        const struct slot *top;
        uint64_t live_bytes;
        uint64_t exchanges; /* of all stocks */
    } seen[CLASS_MAX];
    struct slot slots[]; /* of all magazines, one after the other */
};

extern struct cache cache_none;
extern struct cache cache_dead;

/* initial-exec: one instruction, and no call to the allocator from the dynamic linker. */
extern __thread struct cache *cache_mine __attribute__((tls_model("initial-exec")));

/* How a thread gets to hear of its end: set by the api, which knows of thread keys. Called once a
 * thread, after cache_mine is set, for it may itself allocate. False: it will not hear of it, so it
 * must have no cache. */
typedef bool cache_exit_hook(struct cache *cache);
void cache_set_exit_hook(cache_exit_hook *hook);

/* Not one of the two that all threads share. */
bool cache_is_real(const struct cache *cache);

/* The calling thread's, made if need be and possible. */
struct cache *cache_own(struct heap *heap);

/* NULL: there is no memory for it, or no thread of that home has had a cache yet. */
INLINE struct cache *cache_stock(const struct heap *heap, uint32_t home)
{
    return atomic_load_explicit(&heap->stocks[home], memory_order_acquire);
}

INLINE struct shortcut *cache_shortcut(struct cache *cache, const void *pointer)
{
    return &cache->shortcuts[((uintptr_t)pointer >> REGISTRY_GRANULE_SHIFT) % SHORTCUTS];
}

/*
 * All caches together may hold 1/16 of the lock limit: each slot in one pins a slab. Reserves room
 * for up to `most` units, but no more than a `share` of what is left, so that there is something
 * for the next one; but `least` if there are as many. Returns how many. Under caches_mutex, as is
 * what speaks of the room.
 */
uint64_t cache_reserve(struct heap *heap, uint64_t unit, uint64_t least, uint64_t most,
                       uint64_t share);

/* Room for a magazine of the cache's: for `least` slots or more, and two; for none, if there is not
 * that much. Under the class's mutex, if it is a stock's. */
void magazine_reserve_room(struct heap *heap, struct cache *cache, uint32_t class, uint64_t least);
void magazine_return_room(struct heap *heap, struct cache *cache, uint32_t class);

struct shortcut shortcut_to(const struct region *region, unsigned page_shift);

/* Keeps the way to pointer in mind. The caches that are shared stay as they are. */
void cache_remember(struct cache *cache, const struct shortcut *shortcut, const void *pointer);

INLINE struct slot *magazine_top(const struct magazine *magazine)
{
    return atomic_load_explicit(&magazine->top, memory_order_relaxed);
}

INLINE void magazine_set_top(struct magazine *magazine, struct slot *top)
{
    atomic_store_explicit(&magazine->top, top, memory_order_relaxed);
}

INLINE uint32_t magazine_count(const struct magazine *magazine)
{
    return (uint32_t)(magazine_top(magazine) - magazine->bottom);
}

INLINE uint32_t magazine_capacity(const struct magazine *magazine)
{
    return (uint32_t)(magazine->limit - magazine->bottom);
}

/* false: it is full. */
INLINE bool magazine_push(struct magazine *magazine, struct slot slot)
{
    struct slot *top = magazine_top(magazine);
    if (UNLIKELY(top == magazine->limit)) {
        return false;
    }
    *top = slot;
    magazine_set_top(magazine, top + 1);
    return true;
}

/* false: it is empty. The two words of a slot one by one: both at once would be a load of two
 * stores, which waits until they have left the store buffer. */
INLINE bool magazine_pop(struct magazine *magazine, char **start, slot_record **record)
{
    struct slot *top = magazine_top(magazine);
    if (UNLIKELY(top == magazine->bottom)) {
        return false;
    }
    *start = top[-1].start;
    *record = top[-1].record;
    magazine_set_top(magazine, top - 1);
    return true;
}

/*
 * An empty magazine gets half of what it holds from the stock, a full one gives as much; false: it
 * takes more than that. They are what the fast path meets once in a while, with code and data that
 * are cold by then: so they touch little, and let the fast path go on, which is warm.
 */
bool magazine_refill_from_stock(struct heap *heap, uint32_t class);
bool magazine_overflow_to_stock(struct heap *heap, uint32_t class);

/* A slot for a thread whose magazine is empty: refills it by half. start NULL: *error. */
struct slot magazine_refill(struct heap *heap, uint32_t class, int *error);

/* Takes a slot back when the magazine is full: half of it, the oldest, goes. Purges if that is due.
 */
void magazine_overflow(struct heap *heap, uint32_t class, struct slot slot);

/* For who has freed something: gives pages back to the kernel if that is due. */
void magazines_purge_if_due(struct heap *heap);

/* Counts bytes handed out (or, negative, taken back) by a thread, magazine or not. */
void magazine_count_bytes(struct heap *heap, uint32_t class, int64_t bytes);

/* Flushes all that the calling thread keeps, and the stocks, and lets the other threads know that
 * they should. */
void magazines_flush(struct heap *heap);

/* Flushes the thread's own, if it was asked to. */
void magazines_follow_epoch(struct heap *heap, struct cache *cache);

/* All slots of a cache's magazine go to their slabs, and its room to whoever wants it. Returns how
 * many slots. Under its class's mutex. */
size_t magazine_empty(struct heap *heap, struct cache *cache, uint32_t class);

/*
 * Stocks, under the class's mutex. Slots go to that of the home of the first one's slab, all of
 * them or, if there is no room for all, none; and they come from that of the home that asks, as
 * many as there are. stocks_empty: as magazine_empty, with those of all homes.
 */
bool stock_put(struct heap *heap, uint32_t class, const struct slot *slots, size_t count);
size_t stock_take(struct heap *heap, const struct slab_request *request);
size_t stocks_empty(struct heap *heap, uint32_t class);

/* For the calling thread, which has a cache, when it has been to the slabs. */
void magazines_look_for_idle(struct heap *heap);

/* Sends all that a cache holds back to where it came from. */
void magazines_empty(struct heap *heap, struct cache *cache);

/* A thread ends: its slots go back, and its cache waits for another thread. */
void cache_retire(struct heap *heap, struct cache *cache);

/* In a forked child: forgets every cache but the calling thread's, and what that one holds. The
 * slots are found from the records. */
void caches_forget(struct heap *heap);

/* Sums over all caches. */
uint64_t caches_slots(struct heap *heap);
void caches_spares(struct heap *heap, uint64_t *count, uint64_t *bytes);
uint64_t caches_live_bytes(struct heap *heap);

void caches_validate(struct heap *heap);

#endif
