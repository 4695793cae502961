/* SPDX-License-Identifier: ISC */
#include "pages/extents_list.h"

#include "base/check.h"
#include "pages/pages.h"

/* ---- bins ---- */

size_t extent_bin(size_t count)
{
    if (count <= 32) {
        return count - 1;
    }
    size_t log = (size_t)(63 - __builtin_clzll((unsigned long long)count));
    return 32 + 4 * (log - 5) + ((count >> (log - 2)) & 3);
}

void extent_bins_add(struct extent_bins *bins, struct extent *extent)
{
    size_t bin = extent_bin(extent->count);
    extent->prev = NULL;
    extent->next = bins->heads[bin];
    if (extent->next != NULL) {
        extent->next->prev = extent;
    }
    bins->heads[bin] = extent;
    bins->used[bin / 64] |= UINT64_C(1) << (bin % 64);
}

void extent_bins_remove(struct extent_bins *bins, struct extent *extent)
{
    size_t bin = extent_bin(extent->count);
    if (extent->prev != NULL) {
        extent->prev->next = extent->next;
    } else {
        bins->heads[bin] = extent->next;
    }
    if (extent->next != NULL) {
        extent->next->prev = extent->prev;
    }
    if (bins->heads[bin] == NULL) {
        bins->used[bin / 64] &= ~(UINT64_C(1) << (bin % 64));
    }
    extent->next = NULL;
    extent->prev = NULL;
}

/* The first bin at or above `bin` that holds something; EXTENT_BINS: none. */
size_t extent_bins_next(const struct extent_bins *bins, size_t bin)
{
    while (bin < EXTENT_BINS) {
        uint64_t rest = bins->used[bin / 64] >> (bin % 64);
        if (rest != 0) {
            return bin + (size_t)__builtin_ctzll(rest);
        }
        bin = (bin / 64 + 1) * 64;
    }
    return EXTENT_BINS;
}

/* ---- the sequence of extents ---- */

struct extent *extent_set(struct region *region, size_t first, size_t count,
                          enum extent_state state)
{
    struct extent *extent = &region->extents[first];
    extent->region = region;
    extent->count = count;
    extent->state = state;
    extent->bare = 0;
    region->extents[first + count - 1].first = first;
    return extent;
}

size_t extent_first(const struct extent *extent)
{
    return (size_t)(extent - extent->region->extents);
}

struct extent *extent_right(const struct extent *extent)
{
    size_t page = extent_first(extent) + extent->count;
    return page < extent->region->count ? &extent->region->extents[page] : NULL;
}

struct extent *extent_left(const struct extent *extent)
{
    size_t page = extent_first(extent);
    return page > 0 ? &extent->region->extents[extent->region->extents[page - 1].first] : NULL;
}

/* Makes [first, first + count) closed, as one extent with the closed neighbours it has. */
void extents_add_closed(struct pages *pages, struct region *region, size_t first, size_t count)
{
    struct extent_bins *closed = &pages->extents.closed;
    struct extent *extent = extent_set(region, first, count, EXTENT_CLOSED);
    struct extent *left = extent_left(extent);
    struct extent *right = extent_right(extent);
    if (right != NULL && right->state == EXTENT_CLOSED) {
        extent_bins_remove(closed, right);
        right->state = EXTENT_NONE;
        count += right->count;
    }
    if (left != NULL && left->state == EXTENT_CLOSED) {
        extent_bins_remove(closed, left);
        extent->state = EXTENT_NONE;
        first = extent_first(left);
        count += left->count;
    }
    extent_bins_add(closed, extent_set(region, first, count, EXTENT_CLOSED));
}

void extents_add_region(struct pages *pages, struct region *region)
{
    extents_add_closed(pages, region, 0, region->count);
}

void extent_set_entries(struct region *region, size_t first, size_t count, uint32_t entry)
{
    for (size_t page = first; page < first + count; page++) {
        atomic_store_explicit(&region->entries[page], entry, memory_order_release);
    }
}

/* ---- free extents ---- */

void extents_dirty_leave(struct extents *extents, struct extent *extent)
{
    if (extent->dirty_prev != NULL) {
        extent->dirty_prev->dirty_next = extent->dirty_next;
    } else {
        extents->dirty_first = extent->dirty_next;
    }
    if (extent->dirty_next != NULL) {
        extent->dirty_next->dirty_prev = extent->dirty_prev;
    } else {
        extents->dirty_last = extent->dirty_prev;
    }
    extent->dirty_next = NULL;
    extent->dirty_prev = NULL;
}

/* Off the lists of free extents. */
void extents_unlist(struct pages *pages, struct extent *extent)
{
    if (extent->state == EXTENT_DIRTY) {
        extents_dirty_leave(&pages->extents, extent);
        counter_sub(&pages->counters.dirty, pages_bytes(pages, extent->count));
    }
    if (extent->state == EXTENT_DIRTY || extent->state == EXTENT_CLEAN) {
        extent_bins_remove(&pages->extents.free, extent);
        pages->extents.free_count--;
        pages->extents.free_pages -= extent->count;
    }
}

void extents_set_free(struct pages *pages, struct extent *extent, enum extent_state state)
{
    extent->state = state;
    if (state == EXTENT_DIRTY) {
        struct extents *extents = &pages->extents;
        extent->dirty_since = pages->runs.clock++;
        extent->dirty_next = NULL;
        extent->dirty_prev = extents->dirty_last;
        if (extents->dirty_last != NULL) {
            extents->dirty_last->dirty_next = extent;
        } else {
            extents->dirty_first = extent;
        }
        extents->dirty_last = extent;
        counter_add(&pages->counters.dirty, pages_bytes(pages, extent->count));
    }
    extent_bins_add(&pages->extents.free, extent);
    pages->extents.free_count++;
    pages->extents.free_pages += extent->count;
}

/* ---- validation ---- */

void extents_validate(const struct pages *pages, const struct region *region)
{
    bool was_closed = false;
    (void)pages;
    for (size_t page = 0; page < region->count;) {
        const struct extent *extent = &region->extents[page];
        bool closed = extent->state == EXTENT_CLOSED;
        REQUIRE(extent->state != EXTENT_NONE && extent->count > 0);
        REQUIRE(page + extent->count <= region->count);
        REQUIRE(region->extents[page + extent->count - 1].first == page);
        REQUIRE(page == 0 ? closed : closed != was_closed);
        was_closed = closed;
        page += extent->count;
    }
    REQUIRE(was_closed);
}
