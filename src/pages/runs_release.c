/* SPDX-License-Identifier: ISC */
#include "pages/runs.h"

#include "pages/pages.h"

static bool page_is_idle(struct region *region, size_t page)
{
    struct chunk *chunk = chunk_of(region, page);
    return ((chunk->live | chunk->purging | chunk->held) & page_bit(page)) == 0;
}

static bool page_is_open(struct region *region, size_t page)
{
    return !page_is_closed(region, page);
}

static void mark_closed(struct pages *pages, struct region *region, size_t page)
{
    struct chunk *chunk = chunk_of(region, page);
    uint32_t bit = page_bit(page);
    bool was_dirty = chunk->dirty != 0;
    if ((chunk->fixed & bit) != 0) {
        chunk->fixed_open &= ~bit;
        return;
    }
    if ((chunk->dirty & bit) != 0) {
        counter_sub(&pages->counters.dirty, pages->config.page_size);
    }
    if ((chunk->unlocked & bit) != 0) {
        pages->unlocked_free--;
    }
    chunk->dirty &= ~bit;
    chunk->clean &= ~bit;
    chunk->unlocked &= ~bit;
    chunk->closed |= bit;
    region->closed++;
    if (was_dirty && chunk->dirty == 0) {
        runs_dirty_leave(&pages->runs, chunk);
    }
    runs_rebin(&pages->runs, chunk);
}

/* Closes open pages of one kind, all of them unlocked or none. Returns how many. */
static size_t close_run(struct pages *pages, struct run run, bool locked)
{
    if (pages_close(pages, run, locked) != 0) {
        return 0;
    }
    for (size_t i = run.page; i < run.page + run.count; i++) {
        mark_closed(pages, run.region, i);
    }
    if (run.page < run.region->first_closed) {
        run.region->first_closed = run.page;
    }
    return run.count;
}

static bool page_is_unlocked(struct region *region, size_t page)
{
    return (chunk_of(region, page)->unlocked & page_bit(page)) != 0;
}

/* Returns the open pages of [page, end) that it closed. One call for each run of open pages: what
 * is closed between them must not be opened by a call that fails halfway. */
static size_t release_stretch(struct pages *pages, struct region *region, size_t page, size_t end)
{
    size_t released = 0;
    while (page < end) {
        struct run run = {region, page, 0};
        bool unlocked = page_is_unlocked(region, page);
        while (page < end && page_is_open(region, page) &&
               page_is_unlocked(region, page) == unlocked) {
            run.count++;
            page++;
        }
        released += run.count > 0 ? close_run(pages, run, !unlocked) : 0;
        page += run.count == 0;
    }
    return released;
}

/* A maximal stretch of pages that nobody uses. */
struct stretch {
    size_t first_open,
        open_end; /* what there is to close, closed pages and guards between included */
    size_t open;  /* pages in it that are open */
    size_t end;   /* of the stretch */
    bool only_guards;
};

static struct stretch find_stretch(struct region *region, size_t page)
{
    struct stretch stretch = {.first_open = page, .only_guards = true};
    for (; page < region->count && page_is_idle(region, page); page++) {
        stretch.only_guards = stretch.only_guards && page_is_fixed(region, page);
        if (page_is_open(region, page)) {
            stretch.first_open = stretch.open == 0 ? page : stretch.first_open;
            stretch.open_end = page + 1;
            stretch.open++;
        }
    }
    stretch.end = page;
    return stretch;
}

static size_t release_region(struct pages *pages, struct region *region,
                             struct release_terms *terms)
{
    size_t released = 0;
    size_t high = atomic_load_explicit(&region->high, memory_order_relaxed);
    for (size_t page = 0; page < high && released < terms->wanted;) {
        struct stretch stretch = find_stretch(region, page);
        bool is_hole = page > 0 && stretch.end < region->count;
        if (stretch.open >= terms->least && !stretch.only_guards &&
            (!is_hole || terms->holes > 0)) {
            size_t count = release_stretch(pages, region, stretch.first_open, stretch.open_end);
            terms->holes -= is_hole && count > 0;
            released += count;
        }
        page = stretch.end + 1;
    }
    return released;
}

size_t runs_release(struct pages *pages, struct release_terms *terms)
{
    size_t released = 0;
    struct region *region = atomic_load_explicit(&pages->regions, memory_order_relaxed);
    for (; region != NULL; region = atomic_load_explicit(&region->next, memory_order_relaxed)) {
        if (region->kind == REGION_SLABS &&
            !atomic_load_explicit(&region->dropped, memory_order_relaxed)) {
            size_t more = release_region(pages, region, terms);
            released += more;
            terms->wanted -= more < terms->wanted ? more : terms->wanted;
        }
    }
    return released;
}

static size_t holes_in(struct region *region)
{
    size_t holes = 0;
    size_t high = atomic_load_explicit(&region->high, memory_order_relaxed);
    for (size_t page = 0; page < high; page++) {
        bool begins = page > 0 && page_is_closed(region, page) && page_is_open(region, page - 1);
        holes += begins;
    }
    return holes;
}

size_t runs_holes(const struct pages *pages)
{
    size_t holes = 0;
    struct region *region = atomic_load_explicit(&pages->regions, memory_order_relaxed);
    for (; region != NULL; region = atomic_load_explicit(&region->next, memory_order_relaxed)) {
        if (region->kind == REGION_SLABS &&
            !atomic_load_explicit(&region->dropped, memory_order_relaxed)) {
            holes += holes_in(region);
        }
    }
    return holes;
}
