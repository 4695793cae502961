/* SPDX-License-Identifier: ISC */
/*
 * Runs for large and guarded buffers. A region of this kind is a sequence of extents: open ones,
 * each with a run that is live or free, and closed ones between them. Between two open extents
 * there is always a closed one of at least a page, the gap: inaccessible, not locked, not charged,
 * and shared by its neighbours, so a buffer costs two mappings. Two closed extents never touch.
 *
 * A free open extent is kept as it is, for the next buffer of its size: joining it with a free
 * neighbour, or cutting it, costs system calls. Those that nobody came back for are closed, which
 * joins them, when a request has found nothing and too many are kept.
 */
#ifndef SECURE_MALLOC_PAGES_EXTENTS_H
#define SECURE_MALLOC_PAGES_EXTENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pages;
struct region;
struct run;

enum extent_state {
    EXTENT_NONE = 0, /* not the first page of an extent */
    EXTENT_CLOSED,
    EXTENT_LIVE,
    EXTENT_DIRTY,
    EXTENT_PURGING,
    EXTENT_CLEAN,
    EXTENT_UNLOCKED
};

/* At the index of its first page in region->extents; `first` alone also at its last page. */
struct extent {
    struct region *region;
    size_t count;
    uint32_t state;
    uint32_t bare;              /* not locked: live under best effort, or in state unlocked */
    size_t first;               /* at the last page: the index of the first page */
    struct extent *next, *prev; /* in its bin: free or closed */
    struct extent *dirty_next, *dirty_prev; /* oldest first */
    uint64_t dirty_since;
};

/* Sizes up to 32 pages have a bin each, then four a doubling. */
enum { EXTENT_BINS = 32 + 4 * 59 };

struct extent_bins {
    struct extent *heads[EXTENT_BINS];
    uint64_t used[(EXTENT_BINS + 63) / 64];
};

struct extents {
    struct extent_bins free; /* dirty and clean */
    struct extent_bins closed;
    size_t free_count; /* extents in `free`, and their pages */
    size_t free_pages;
    struct extent *dirty_first, *dirty_last;
};

/* All under the pages mutex. */

void extents_add_region(struct pages *pages, struct region *region);

/* A free extent of exactly this many pages. *cold: how many are not resident. */
bool extents_take(struct pages *pages, size_t count, size_t alignment, struct run *run,
                  size_t *cold);

/* Opens a new one in closed space. -ENOENT: there is no room; -ENOMEM, -EPERM: refused. */
int extents_open(struct pages *pages, size_t count, size_t alignment, bool keep_unlocked,
                 struct run *run);

/* Closes free extents, the largest first, while more are kept than a load of changing sizes can
 * want: 64 of them, or 1 MiB or an eighth of what is live, whichever is more. */
void extents_limit_free(struct pages *pages);

void extents_give(struct pages *pages, struct run run);

/* As extents_give, for a run that is empty but could not be opened: it waits to be closed. */
void extents_strand(struct pages *pages, struct run run);
int extents_grow(struct pages *pages, struct run *run, size_t count);
int extents_shrink(struct pages *pages, struct run *run, size_t count);

/* Closes free extents until `pages` pages are, largest first; returns how many are. */
size_t extents_release(struct pages *pages, size_t count);

/* For pages/purge.c. */
void extents_set_free(struct pages *pages, struct extent *extent, enum extent_state state);
void extents_dirty_leave(struct extents *extents, struct extent *extent);

/* Closes an open extent that is on no list, and joins it with its neighbours. */
int extents_close(struct pages *pages, struct extent *extent);

void extents_validate(const struct pages *pages, const struct region *region);

#endif
