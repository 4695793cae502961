/* SPDX-License-Identifier: ISC */
/*
 * Runs for slabs. A region of slabs is cut into chunks of 32 pages, and a run lies within one
 * chunk, so a chunk's state is a few 32-bit masks: finding a run is arithmetic on a word, and
 * neighbours join by themselves. Where the kernel can make guards without mappings, the last page
 * of each chunk is one, for ever.
 */
#ifndef SECURE_MALLOC_PAGES_RUNS_H
#define SECURE_MALLOC_PAGES_RUNS_H

#include <stddef.h>
#include <stdint.h>

#include "pages/region.h"

enum { RUN_PAGES_MAX = 8 };

struct pages;
struct run;

/*
 * live, dirty, purging, held, clean, unlocked and closed are disjoint; together with fixed they
 * make all 32 bits. held: clean, but its bookkeeping is on its way out with a batch. A fixed page
 * is a guard or lies behind the region's end: never part of a run. fixed_open tells of a guard that
 * the pages around it were opened across it: then it is charged. bare: live pages that are not
 * locked (best effort alone).
 */
struct chunk {
    uint32_t live, dirty, purging, held, clean, unlocked, closed;
    uint32_t fixed, fixed_open, bare;
    uint8_t bin;  /* which list of runs.free it is on: its longest free run, 0 for none, */
    uint8_t kind; /* and enum chunk_kind */
    struct region *region;
    struct chunk *free_next, *free_prev;
    struct chunk *dirty_next, *dirty_prev;
    struct chunk *held_next;
    uint64_t dirty_since; /* when its first dirty page came, by runs.clock */
};

/*
 * Single pages and longer runs keep apart where they can. A page of records speaks of several pages
 * of data, and stays while one of them is live: when a program that had big buffers has small ones,
 * single pages that lay scattered where the big ones were would hold most of the records there.
 */
enum chunk_kind { CHUNK_IDLE, CHUNK_SINGLE, CHUNK_LONGER, CHUNK_KINDS };

struct runs {
    /* Chunks by their longest run of free pages (dirty or clean), cut off at RUN_PAGES_MAX. */
    struct chunk *free[CHUNK_KINDS][RUN_PAGES_MAX + 1];
    struct chunk *lodging; /* of longer runs: where the last single page was taken; or NULL */
    /* Chunks with dirty pages, the longest in that state first: purges begin there, and runs are
     * taken from the other end. */
    struct chunk *dirty_first, *dirty_last;
    uint64_t clock; /* shared with the extents */
};

/* All under the pages mutex. */

void runs_add_region(struct pages *pages, struct region *region);

/* A run of open, locked, free pages; false: there is none. *cold: how many are not resident. */
bool runs_take(struct pages *pages, size_t count, struct run *run, size_t *cold);

/* Up to `most` clean pages right behind a run are being made resident: nobody has them meanwhile,
 * as if they were purging. Returns how many. Then they are
 * dirty, or, if that could not be done, clean again. */
size_t runs_warm_begin(struct pages *pages, struct run run, size_t most);
void runs_warm_end(struct pages *pages, struct run run, size_t count, bool done);

void runs_give(struct pages *pages, struct run run);

/* Opens a closed stretch of about `bytes` that holds a run of `count` pages. 0; -ENOMEM, -EPERM:
 * refused; -ENOENT: there is no such stretch. */
int runs_open(struct pages *pages, size_t bytes, size_t count);

/* Best effort: opens a run that could not be locked, and takes it. false: no such stretch, or it
 * cannot even be opened. */
bool runs_take_unlocked(struct pages *pages, size_t count, struct run *run);

/* A run that is free and open, but not locked, is closed, so that who takes it next locks it. If
 * even that fails (the limit on mappings), its state is unlocked. */
void runs_set_unlocked(struct pages *pages, struct run run);

INLINE enum chunk_kind chunk_kind_for(size_t count)
{
    return count == 1 ? CHUNK_SINGLE : CHUNK_LONGER;
}

/* The chunk to take a run of `count` open, locked, free pages from; NULL: there is none. */
struct chunk *runs_find(struct runs *runs, size_t count);

/* For pages/purge.c: the mask of pages [first, first + count) changes state. */
INLINE uint32_t run_mask(size_t first, size_t count)
{
    uint32_t ones = count >= CHUNK_PAGES ? UINT32_MAX : (UINT32_C(1) << count) - 1;
    return ones << first;
}
void runs_dirty_leave(struct runs *runs, struct chunk *chunk);
void runs_add_live(struct pages *pages, struct chunk *chunk, uint32_t mask);
void runs_add_dirty(struct pages *pages, struct chunk *chunk, uint32_t mask);
void runs_rebin(struct runs *runs, struct chunk *chunk);

INLINE struct chunk *chunk_of(struct region *region, size_t page)
{
    return &region->chunks[page / CHUNK_PAGES];
}

INLINE size_t chunk_first_page(const struct chunk *chunk)
{
    return (size_t)(chunk - chunk->region->chunks) * CHUNK_PAGES;
}

/* The pages at which a run of count begins. */
INLINE uint32_t run_starts(uint32_t mask, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        mask &= mask >> 1;
    }
    return mask;
}

INLINE size_t lowest(uint32_t mask)
{
    return (size_t)__builtin_ctz(mask);
}

INLINE size_t pages_in(uint32_t mask)
{
    return (size_t)__builtin_popcount(mask);
}

INLINE uint32_t page_bit(size_t page)
{
    return UINT32_C(1) << (page % CHUNK_PAGES);
}

INLINE bool page_is_closed(const struct region *region, size_t page)
{
    const struct chunk *chunk = &region->chunks[page / CHUNK_PAGES];
    return ((chunk->closed | (chunk->fixed & ~chunk->fixed_open)) & page_bit(page)) != 0;
}

INLINE bool page_is_fixed(const struct region *region, size_t page)
{
    return (region->chunks[page / CHUNK_PAGES].fixed & page_bit(page)) != 0;
}

/* Closes free stretches of at least `least` pages until `wanted` are closed. At most `holes` of
 * them may leave closed pages with open ones on both sides: each costs two mappings. Counts wanted
 * and holes down; returns the pages closed. */
struct release_terms {
    size_t least, wanted, holes;
};
size_t runs_release(struct pages *pages, struct release_terms *terms);

/* How many such stretches there are. */
size_t runs_holes(const struct pages *pages);

void runs_validate(const struct pages *pages, const struct region *region);

#endif
