/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "pages/extents_list.h"
#include "pages/pages.h"

/* Room behind the run for `more` pages and a gap; closes a free neighbour if that is what it takes.
 */
static bool make_room(struct pages *pages, struct extent *extent, size_t more)
{
    struct extent *gap = extent_right(extent);
    if (gap->count > more) {
        return true;
    }
    struct extent *after = extent_right(gap);
    if (after == NULL || (after->state != EXTENT_DIRTY && after->state != EXTENT_CLEAN)) {
        return false;
    }
    enum extent_state state = after->state;
    extents_unlist(pages, after);
    if (extents_close(pages, after) != 0) {
        extents_set_free(pages, after, state);
        return false;
    }
    return extent_right(extent)->count > more;
}

int extents_grow(struct pages *pages, struct run *run, size_t count)
{
    struct region *region = run->region;
    struct extent *extent = &region->extents[run->page];
    size_t more = count - run->count;
    size_t end = run->page + run->count;
    bool locked = false;
    if (extent->bare != 0 || !make_room(pages, extent, more)) {
        return -ENOMEM;
    }
    int error = pages_open(pages, (struct run){region, end, more}, false, &locked);
    if (error != 0) {
        return error;
    }
    struct extent *gap = extent_right(extent);
    size_t gap_end = end + gap->count;
    extent_bins_remove(&pages->extents.closed, gap);
    gap->state = EXTENT_NONE;
    extent_set(region, run->page, count, EXTENT_LIVE);
    extent_bins_add(&pages->extents.closed,
                    extent_set(region, end + more, gap_end - (end + more), EXTENT_CLOSED));
    extent_set_entries(region, end, more, (uint32_t)run->page + 1);
    extent_set_entries(region, end + more, 1, 0);
    region_raise_high(region, end + more);
    counter_add(&pages->counters.live, pages_bytes(pages, more));
    run->count = count;
    return 0;
}

int extents_shrink(struct pages *pages, struct run *run, size_t count)
{
    struct region *region = run->region;
    struct extent *extent = &region->extents[run->page];
    size_t less = run->count - count;
    bool locked = extent->bare == 0;
    int error = pages_close(pages, (struct run){region, run->page + count, less}, locked);
    if (error != 0) {
        return error;
    }
    counter_sub(&pages->counters.live, pages_bytes(pages, less));
    if (!locked) {
        counter_sub(&pages->counters.unlocked, pages_bytes(pages, less));
    }
    extent_set(region, run->page, count, EXTENT_LIVE)->bare = !locked;
    extent_set_entries(region, run->page + count, less, 0);
    extents_add_closed(pages, region, run->page + count, less);
    run->count = count;
    return 0;
}
