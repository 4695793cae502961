/* SPDX-License-Identifier: ISC */
/*
 * Where pages come from: the state of the layer, and what the heap asks of it.
 *
 * A run is consecutive pages with one owner: a slab, or one large buffer. Its pages are
 *   live      someone's
 *   dirty     free, wiped, resident
 *   purging   on their way out, or in: on no list, and nothing is cut from them
 *   clean     free, locked, not resident
 *   unlocked  free, open, and the lock or the closing failed; not used until one of them succeeds
 *   closed    inaccessible and not locked: never opened, or released
 * Only the pages mutex changes a state. Pages that are handed out read zero.
 *
 * Mutex order: purge_mutex, then mutex; the other way round it may only be tried. The heap's
 * mutexes come before both.
 */
#ifndef SECURE_MALLOC_PAGES_PAGES_H
#define SECURE_MALLOC_PAGES_PAGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/mutex.h"
#include "os/os.h"
#include "pages/bookkeeping.h"
#include "pages/extents.h"
#include "pages/region.h"
#include "pages/registry.h"
#include "pages/runs.h"
#include "policy/purge_policy.h"

struct pages_config {
    size_t page_size;
    size_t records_stride; /* bytes of records a page; divides page_size */
    size_t owner_stride;   /* bytes of the owner's description a page */
    enum os_fork fork;
    bool best_effort;     /* a refusal to lock is not an error of the allocation */
    uint64_t lock_limit;  /* 0: what the kernel allows */
    uint64_t purge_limit; /* UINT64_MAX: the default */
};

/* Written under the pages mutex, read by anyone. */
struct pages_counters {
    counter locked;   /* bytes of open, locked pages, guards among them included */
    counter unlocked; /* bytes in live runs that are not locked */
    counter dirty;
    counter live; /* bytes in live runs */
    counter reserved;
    counter purges;
    counter purged;
    counter purge_failures;
    counter lock_failures;
    counter relock_failures;
};

struct pages {
    struct mutex purge_mutex; /* held while a batch is out: who takes it has waited for the batch */
    struct mutex mutex;       /* guards all below that is not said to be otherwise */
    struct pages_config config;
    unsigned page_shift;

    struct registry registry;         /* read without a mutex */
    struct bookkeeping bookkeeping;   /* has a mutex of its own */
    _Atomic(struct region *) regions; /* newest first; read without a mutex */
    size_t last_size[2];              /* of the newest region of each kind */
    uint64_t data_size[2];            /* of all regions of each kind */

    struct runs runs;
    struct extents extents;

    struct purge_policy policy;
    uint64_t purge_hold;    /* after a failure: no purge while dirty is at or below this */
    _Atomic bool purge_due; /* a hint for who has just given pages back */
    bool lock_failure_told; /* best effort says so once */
    _Atomic bool guards;    /* the kernel makes guards without mappings */
    bool probed;
    size_t unlocked_free;        /* pages in state unlocked */
    _Atomic uint64_t limit_seen; /* the lock limit when it mattered last; read without a mutex */
    struct os_purger purger;     /* under purge_mutex */
    struct os_range ranges[OS_PURGE_RANGES_MAX]; /* under purge_mutex */

    struct pages_counters counters;
};

/* A run of pages. */
struct run {
    struct region *region;
    size_t page;
    size_t count;
};

/* Zeroed memory in, no system call that needs memory out: usable before the constructor runs. */
void pages_init(struct pages *pages, const struct pages_config *config);

/* Opens and locks at least size bytes for slabs; for a heap that has nothing yet. 0, -ENOMEM,
 * -EPERM. */
int pages_reserve(struct pages *pages, uint64_t size);

/*
 * A run for a slab, count <= RUN_PAGES_MAX pages that cross no guard; and one for a large buffer,
 * with closed pages on both sides, its first page at a multiple of alignment bytes. When the lock
 * budget is spent, free runs are released first; a purge that is in flight is waited for. Unless
 * any_way is false, for who can do without: nothing is released or waited for then, no run is given
 * that is not locked, and a failure is not counted. *cold: how many of the pages are not resident.
 * 0, -ENOMEM, -EPERM, or what leaving memory out of core files gave.
 */
int pages_take(struct pages *pages, size_t count, bool any_way, struct run *run, size_t *cold);
int pages_take_large(struct pages *pages, size_t count, size_t alignment, struct run *run,
                     size_t *cold);

/* Could so many pages ever be locked? What cannot must cost neither address space nor free pages.
 * 0, -ENOMEM, -EPERM. */
int pages_possible(struct pages *pages, size_t count);

/* Gives a run back: wiped, and records and owners' bytes zero. A purge may be due then:
 * pages_purge_due, to be asked with no mutex held. */
void pages_give(struct pages *pages, struct run run);
void pages_give_large(struct pages *pages, struct run run);

/* It may be not under best effort alone. */
bool pages_large_is_locked(const struct region *region, size_t first_page);

/* How many pages a live large run has that begins there; 0: none does. For a forked child. */
size_t pages_large_live(const struct region *region, size_t first_page);

/* As pages_give_large, for a run that holds nothing but could not be opened. */
void pages_strand_large(struct pages *pages, struct run run);

/* In place, at the end. Shrinking gives wiped pages back; both keep the first page. 0 or -ENOMEM.
 */
int pages_grow_large(struct pages *pages, struct run *run, size_t count);
int pages_shrink_large(struct pages *pages, struct run *run, size_t count);

/* The policy's purge, if one is due: a batch, by one thread at a time. */
bool pages_purge_due(struct pages *pages);

/* All dirty pages, now. Returns the bytes given back. */
size_t pages_purge(struct pages *pages);

/* Closes free stretches, longest first, until at least `bytes` of lock budget are back. Returns how
 * many are. Call pages_purge first: what is closed is discarded anyway, but in one call a stretch.
 */
size_t pages_release(struct pages *pages, uint64_t bytes);

/* After mlockall: takes the lock off what is only reserved, and off bookkeeping. */
void pages_unlock_unused(struct pages *pages);

/* The limit on locked bytes in force. */
uint64_t pages_lock_limit(struct pages *pages);

/* All of the layer's mutexes, around fork and around an audit: no page changes its state meanwhile.
 */
void pages_quiesce(struct pages *pages);
void pages_resume(struct pages *pages); /* in the parent and in the child */

/* In the child, before fork returns, for keep and wipe: guards again, locks again. access_of tells
 * how a large run is protected. -ENOMEM, -EPERM: what is locked by then stays so. */
typedef enum os_access pages_access_of(const struct region *region, size_t page);
int pages_relock(struct pages *pages, pages_access_of *access_of);

/* The old data is inaccessible from now on, and the layer empty: in a forked child, or because the
 * library could not start. */
void pages_drop(struct pages *pages, bool forked);

/* Is any of [start, end) this library's, bookkeeping and guards included? */
bool pages_overlap(struct pages *pages, uintptr_t start, uintptr_t end);

/* A broken structure ends the process. Takes the mutex. */
void pages_validate(struct pages *pages);

INLINE size_t pages_bytes(const struct pages *pages, size_t count)
{
    return count << pages->page_shift;
}

/* Is the page a guard within a region of slabs? Lock-free. */
INLINE bool pages_is_guard(const struct region *region, size_t page)
{
    uint32_t fixed = region->chunks[page / CHUNK_PAGES].fixed;
    return (fixed >> (page % CHUNK_PAGES) & 1) != 0;
}

INLINE void *run_start(const struct pages *pages, struct run run)
{
    return region_page(run.region, run.page, pages->page_shift);
}

/* ---- within the layer, under the mutex ---- */

/* Opens a run and counts it. If the lock budget or the kernel refuses: with keep_unlocked the pages
 * are open all the same, *locked says so. -ENOMEM, -EPERM. */
int pages_open(struct pages *pages, struct run run, bool keep_unlocked, bool *locked);

/* The opposite; -ENOMEM: nothing has changed. */
int pages_close(struct pages *pages, struct run run, bool locked);

/* Reserves the next region of a kind, for at least `needed` bytes. */
int pages_add_region(struct pages *pages, enum region_kind kind, size_t needed);

/* A purge that is in flight holds pages that may be just what is missing. */
void pages_wait_for_purge(struct pages *pages);

/* Tells the purge policy of a run, with so many pages that were not resident; counts a failure. */
void pages_note_taken(struct pages *pages, int error, size_t cold);

/* As pages_release. */
size_t pages_release_bytes(struct pages *pages, uint64_t bytes);

/* Sets purge_due, after dirty pages came or went. */
void pages_look_if_due(struct pages *pages);

/* Best effort has used memory unlocked: the first time, it says so on stderr. */
void pages_tell_unlocked(struct pages *pages);

#endif
