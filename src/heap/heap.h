/* SPDX-License-Identifier: ISC */
/*
 * Who holds memory now: the state of the layer, and what the api asks of it.
 *
 * Small buffers are slots of slabs (heap/slab.h), handed out and taken back through each thread's
 * magazines (heap/magazine.h); the rest are runs of their own (heap/large.h). Every slot has a
 * record, every large buffer too: the one word that says whether it is live, and how long it is
 * (heap/record.h).
 *
 * Mutex order: changes_mutex, a class's mutex, caches_mutex, then those of the pages layer.
 */
#ifndef SECURE_MALLOC_HEAP_HEAP_H
#define SECURE_MALLOC_HEAP_HEAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/mutex.h"
#include "base/random.h"
#include "heap/size_class.h"
#include "pages/pages.h"

struct slab;
struct cache;
struct slot_wide;

/* Each thread has a home, one of these, and allocates from slabs of its home while it can: the
 * records of neighbouring slots share cache lines, and threads that write to the same lines wait
 * for each other. */
enum { HOMES = 4 };

/* The slabs of one class that have both free slots and others, by home and by how full they are. */
struct class_slabs {
    _Alignas(CACHE_LINE) struct mutex mutex; /* threads that use other classes are not disturbed */
    struct slab *bins[HOMES * SLAB_BINS];    /* of each home the fullest first */
    struct random random;                    /* for the order of slots */
    counter all_slots;                       /* of live slabs */
    counter free_slots;                      /* in their free maps */
    counter live_bytes; /* of slots that were handed out or taken back without a magazine */
};

struct heap_config {
    struct pages_config pages; /* strides are the heap's own */
    bool canary;
    bool check_free;
};

/* See heap/canary.h. */
struct canary_key {
    uint64_t start, factor; /* random; factor is odd, so that it loses no bit of the address */
    uint64_t set, keep;     /* bits of every canary: these are 1, and only these may be */
};

struct heap {
    /* What the fast path reads; set once. */
    struct canary_key canary_key;
    _Atomic(const struct slot_wide *) wide; /* never NULL, not even before heap_init */
    bool canary;
    bool check_free;
    _Atomic bool wiped_by_fork; /* a forked child under wipe: old canaries may be all zero */
    unsigned page_shift;
    size_t page_size;
    struct size_classes classes;

    struct class_slabs slabs[CLASS_MAX];

    /* Held while a large buffer's pages or protection change, so that fork does not come in
     * between: the child could not tell how far it went. */
    struct mutex changes_mutex;

    struct mutex caches_mutex;
    struct cache *caches;                  /* all that were ever made */
    _Atomic(struct cache *) stocks[HOMES]; /* of no thread; made with the first one of that home */
    uint32_t next_home;
    uint64_t room_taken;    /* bytes that caches may hold; see cache_reserve */
    _Atomic uint64_t epoch; /* advanced: every thread flushes at its next slow path */

    counter large_count, large_bytes; /* several writers */
    counter claims;                   /* held by secure_protect and others, see heap/record.h */
    _Atomic uint64_t zeroizing;       /* secure_zeroize calls that are under way */
    _Atomic int owner; /* the process whose secrets these are; under SECURE_FORK_DROP alone */
    _Atomic uint64_t zeroized; /* advanced as each begins */
    _Atomic uint64_t forks;
    bool forked_threaded; /* the process had threads when it last began to fork */

    struct pages pages;
};

void heap_init(struct heap *heap, const struct heap_config *config);

/* ---- for the api; 0 or -errno, or NULL and *error ---- */

void *heap_allocate(struct heap *heap, size_t size, int *error);
/* alignment: a power of two. */
void *heap_allocate_aligned(struct heap *heap, size_t alignment, size_t size, int *error);
void *heap_allocate_guarded(struct heap *heap, size_t size, int *error);
void *heap_reallocate(struct heap *heap, void *pointer, size_t size, int *error);

/* size: what the caller says it is; HEAP_ANY_SIZE: nothing. */
#define HEAP_ANY_SIZE SIZE_MAX
void heap_free(struct heap *heap, void *pointer, size_t size);
void heap_free_slow(struct heap *heap, void *pointer, size_t size); /* for heap/slot.h */

int heap_protect(struct heap *heap, void *pointer, enum os_access access);
size_t heap_size_of(struct heap *heap, const void *pointer);
bool heap_owns(const struct heap *heap, const void *pointer);

/* The lock budget is spent: free slots in magazines pin slabs for nothing. This thread's go back
 * now, other threads are asked to flush theirs, and `bytes` of budget are released if they can be.
 */
void heap_make_room(struct heap *heap, size_t bytes);

size_t heap_purge(struct heap *heap);
size_t heap_trim(struct heap *heap);
void heap_zeroize(struct heap *heap);

/* Wipes a live buffer of the caller's; waits for a claim on it to end. */
void heap_zeroize_one(struct heap *heap, void *pointer);

INLINE const struct slot_wide *heap_wide(const struct heap *heap)
{
    return atomic_load_explicit(&heap->wide, memory_order_relaxed);
}

/* Claims begin and end, for a child that is forked in between. The fence: an end is not seen before
 * the record is. */
INLINE void heap_count_claim(struct heap *heap, int more)
{
    atomic_thread_fence(memory_order_release);
    counter_add_shared(&heap->claims, (uint64_t)(int64_t)more);
}

/*
 * For who moves or claims secrets: has a zeroize been under way at any time since the mark? One
 * that was before it never equals a count. The fence: what this thread wrote before may not be
 * passed by the look, or each side could miss the other.
 */
INLINE uint64_t heap_zeroize_mark(const struct heap *heap)
{
    uint64_t begun = atomic_load_explicit(&heap->zeroized, memory_order_seq_cst);
    bool under_way = atomic_load_explicit(&heap->zeroizing, memory_order_seq_cst) != 0;
    return under_way ? UINT64_MAX : begun;
}

INLINE bool heap_zeroized_since(const struct heap *heap, uint64_t mark)
{
    atomic_thread_fence(memory_order_seq_cst);
    return mark != atomic_load_explicit(&heap->zeroized, memory_order_seq_cst);
}

struct heap_numbers {
    uint64_t live_count, live_bytes, cached_slots, free_slots, all_slots, spare_bytes;
};
void heap_count(struct heap *heap, struct heap_numbers *numbers);

/* Bytes of live buffers within [start, end). Lock-free. */
uint64_t heap_live_bytes_in(struct heap *heap, uintptr_t start, uintptr_t end);

/* Bytes of this library's data in [start, end), used or not. Lock-free. */
uint64_t heap_overlap(const struct heap *heap, uintptr_t start, uintptr_t end);

void heap_fork_prepare(struct heap *heap);
void heap_fork_done(struct heap *heap);
/* 0, or why the memory could not be locked again: then the heap is empty, and old pointers fault.
 */
int heap_fork_child(struct heap *heap);

/* When a thread ends. */
void heap_thread_exit(struct heap *heap, struct cache *cache);

void heap_validate(struct heap *heap);

#endif
