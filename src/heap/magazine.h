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
 */
#ifndef SECURE_MALLOC_HEAP_MAGAZINE_H
#define SECURE_MALLOC_HEAP_MAGAZINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap/heap.h"
#include "heap/slab.h"

/* Written by its thread alone. Slots lie in it from 0 up: free, wiped, and their records 0. */
struct magazine {
    _Atomic uint32_t count;
    uint32_t capacity;  /* 0: no room was reserved for it (yet) */
    counter live_bytes; /* handed out less taken back by this thread: may be below 0 */
    struct slot slots[MAGAZINE_SLOTS_MAX];
};

struct cache {
    struct cache *next; /* of all caches */
    bool in_use;        /* under caches_mutex */
    uint64_t epoch;
    struct magazine magazines[CLASS_MAX];
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

INLINE uint32_t magazine_count(const struct magazine *magazine)
{
    return atomic_load_explicit(&magazine->count, memory_order_relaxed);
}

INLINE void magazine_set_count(struct magazine *magazine, uint32_t count)
{
    atomic_store_explicit(&magazine->count, count, memory_order_relaxed);
}

INLINE bool magazine_push(struct magazine *magazine, struct slot slot)
{
    uint32_t count = magazine_count(magazine);
    if (UNLIKELY(count >= magazine->capacity)) {
        return false;
    }
    magazine->slots[count] = slot;
    magazine_set_count(magazine, count + 1);
    return true;
}

/* A slot for a thread whose magazine is empty: refills it by half. start NULL: *error. */
struct slot magazine_refill(struct heap *heap, uint32_t class, int *error);

/* Takes a slot back when the magazine is full: flushes half of it, the oldest. */
void magazine_overflow(struct heap *heap, uint32_t class, struct slot slot);

/* Counts bytes handed out (or, negative, taken back) by a thread, magazine or not. */
void magazine_count_bytes(struct heap *heap, uint32_t class, int64_t bytes);

/* Flushes all magazines of the calling thread, and lets the others know that they should. */
void magazines_flush(struct heap *heap);

/* A thread ends: its slots go back, and its cache waits for another thread. */
void cache_retire(struct heap *heap, struct cache *cache);

/* In a forked child: forgets every cache but the calling thread's, and what that one holds. The
 * slots are found from the records. */
void caches_forget(struct heap *heap);

/* Sums over all caches. */
uint64_t caches_slots(struct heap *heap);
uint64_t caches_live_bytes(struct heap *heap);

void caches_validate(struct heap *heap);

#endif
