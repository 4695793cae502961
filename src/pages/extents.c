/* SPDX-License-Identifier: ISC */
#include "pages/extents.h"

#include <errno.h>

#include "base/check.h"
#include "pages/extents_list.h"
#include "pages/pages.h"

/* ---- taking ---- */

bool extents_take(struct pages *pages, size_t count, size_t alignment, struct run *run,
                  size_t *cold)
{
    struct extent *extent = pages->extents.free.heads[extent_bin(count)];
    for (; extent != NULL; extent = extent->next) {
        void *start = region_page(extent->region, extent_first(extent), pages->page_shift);
        if (extent->count == count && (uintptr_t)start % alignment == 0) {
            *cold = extent->state == EXTENT_DIRTY ? 0 : count;
            extents_unlist(pages, extent);
            extent->state = EXTENT_LIVE;
            counter_add(&pages->counters.live, pages_bytes(pages, count));
            *run = (struct run){extent->region, extent_first(extent), count};
            return true;
        }
    }
    return false;
}

/* Where in a closed extent a run fits with a closed page on either side; 0: nowhere. */
static size_t place_in(const struct pages *pages, const struct extent *extent, size_t count,
                       size_t alignment)
{
    uintptr_t base = extent->region->base;
    uintptr_t lowest = base + pages_bytes(pages, extent_first(extent) + 1);
    uintptr_t aligned = (lowest + alignment - 1) & ~(uintptr_t)(alignment - 1);
    size_t first = (size_t)(aligned - base) >> pages->page_shift;
    return first + count + 1 <= extent_first(extent) + extent->count ? first : 0;
}

static struct extent *find_closed(const struct pages *pages, size_t count, size_t alignment,
                                  size_t *first)
{
    const struct extent_bins *closed = &pages->extents.closed;
    size_t bin = extent_bins_next(closed, extent_bin(count + 2));
    for (; bin < EXTENT_BINS; bin = extent_bins_next(closed, bin + 1)) {
        for (struct extent *extent = closed->heads[bin]; extent != NULL; extent = extent->next) {
            *first = place_in(pages, extent, count, alignment);
            if (*first != 0) {
                return extent;
            }
        }
    }
    return NULL;
}

int extents_open(struct pages *pages, size_t count, size_t alignment, bool keep_unlocked,
                 struct run *run)
{
    size_t first = 0;
    bool locked = false;
    struct extent *closed = find_closed(pages, count, alignment, &first);
    if (closed == NULL) {
        return -ENOENT;
    }
    struct region *region = closed->region;
    int error = pages_open(pages, (struct run){region, first, count}, keep_unlocked, &locked);
    if (error != 0) {
        return error;
    }
    size_t start = extent_first(closed);
    size_t end = start + closed->count;
    extent_bins_remove(&pages->extents.closed, closed);
    struct extent_bins *bins = &pages->extents.closed;
    extent_bins_add(bins, extent_set(region, start, first - start, EXTENT_CLOSED));
    extent_bins_add(bins, extent_set(region, first + count, end - (first + count), EXTENT_CLOSED));
    extent_set(region, first, count, EXTENT_LIVE)->bare = !locked;
    /* The gaps are nobody's, whatever lay there before. */
    extent_set_entries(region, first - 1, 1, 0);
    extent_set_entries(region, first, count, (uint32_t)first + 1);
    extent_set_entries(region, first + count, 1, 0);
    region_raise_high(region, first + count);
    counter_add(&pages->counters.live, pages_bytes(pages, count));
    *run = (struct run){region, first, count};
    return 0;
}

/* ---- giving ---- */

int extents_close(struct pages *pages, struct extent *extent)
{
    bool locked = extent->bare == 0;
    size_t first = extent_first(extent);
    int error = pages_close(pages, (struct run){extent->region, first, extent->count}, locked);
    if (error == 0) {
        extents_add_closed(pages, extent->region, first, extent->count);
    }
    return error;
}

void extents_give(struct pages *pages, struct run run)
{
    struct extent *extent = &run.region->extents[run.page];
    INVARIANT(extent->state == EXTENT_LIVE && extent->count == run.count);
    counter_sub(&pages->counters.live, pages_bytes(pages, run.count));
    if (extent->bare == 0) {
        extents_set_free(pages, extent, EXTENT_DIRTY);
        return;
    }
    counter_sub(&pages->counters.unlocked, pages_bytes(pages, run.count));
    if (extents_close(pages, extent) != 0) {
        extent->state = EXTENT_UNLOCKED;
        pages->unlocked_free += run.count;
    }
}

void extents_strand(struct pages *pages, struct run run)
{
    struct extent *extent = &run.region->extents[run.page];
    counter_sub(&pages->counters.live, pages_bytes(pages, run.count));
    if (extent->bare != 0) {
        counter_sub(&pages->counters.unlocked, pages_bytes(pages, run.count));
    }
    extent->state = EXTENT_UNLOCKED;
    pages->unlocked_free += run.count;
}

/* Tries again to close what could be neither locked nor closed. */
static void close_unlocked(struct pages *pages)
{
    struct region *region = atomic_load_explicit(&pages->regions, memory_order_relaxed);
    for (; region != NULL; region = atomic_load_explicit(&region->next, memory_order_relaxed)) {
        if (region->kind != REGION_LARGE ||
            atomic_load_explicit(&region->dropped, memory_order_relaxed)) {
            continue;
        }
        for (size_t page = 0; page < region->count; page += region->extents[page].count) {
            struct extent *extent = &region->extents[page];
            size_t count = extent->count;
            if (extent->state == EXTENT_UNLOCKED && extents_close(pages, extent) == 0) {
                pages->unlocked_free -= count;
                page = 0; /* the sequence has changed */
            }
        }
    }
}

enum { FREE_EXTENTS_KEPT = 64, FREE_BYTES_KEPT = 1024 * 1024, FREE_OF_LIVE = 8 };

void extents_limit_free(struct pages *pages)
{
    struct extents *extents = &pages->extents;
    uint64_t kept = counter_read(&pages->counters.live) / FREE_OF_LIVE;
    kept = kept > FREE_BYTES_KEPT ? kept : FREE_BYTES_KEPT;
    while (extents->free_count > FREE_EXTENTS_KEPT ||
           pages_bytes(pages, extents->free_pages) > kept) {
        if (extents_release(pages, 1) == 0) {
            return;
        }
    }
}

size_t extents_release(struct pages *pages, size_t count)
{
    size_t released = 0;
    if (pages->unlocked_free > 0) {
        close_unlocked(pages);
    }
    for (size_t bin = EXTENT_BINS; bin-- > 0 && released < count;) {
        struct extent *next = NULL;
        for (struct extent *e = pages->extents.free.heads[bin]; e != NULL && released < count;
             e = next) {
            enum extent_state state = e->state;
            size_t size = e->count;
            next = e->next;
            extents_unlist(pages, e);
            if (extents_close(pages, e) == 0) {
                released += size;
            } else {
                extents_set_free(pages, e, state);
            }
        }
    }
    return released;
}
