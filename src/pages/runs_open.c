/* SPDX-License-Identifier: ISC */
#include "pages/runs.h"

#include <errno.h>

#include "base/check.h"
#include "pages/pages.h"

static void mark_open(struct region *region, size_t page, size_t count)
{
    for (size_t i = page; i < page + count; i++) {
        struct chunk *chunk = chunk_of(region, i);
        if (page_is_fixed(region, i)) {
            chunk->fixed_open |= page_bit(i);
        } else {
            chunk->closed &= ~page_bit(i);
            region->closed--;
        }
    }
    region_raise_high(region, page + count);
}

/* The lowest page at which `count` closed pages lie together in a chunk. */
static bool find_closed(struct region *region, size_t count, size_t *page)
{
    if (region->kind != REGION_SLABS || region->closed < count ||
        atomic_load_explicit(&region->dropped, memory_order_relaxed)) {
        return false;
    }
    size_t first = region->first_closed / CHUNK_PAGES * CHUNK_PAGES;
    for (; first < region->count; first += CHUNK_PAGES) {
        struct chunk *chunk = chunk_of(region, first);
        uint32_t starts = run_starts(chunk->closed, count);
        if (starts != 0) {
            *page = first + lowest(starts);
            return true;
        }
        if (chunk->closed == 0 && region->first_closed >= first) {
            region->first_closed = first + CHUNK_PAGES;
        }
    }
    return false;
}

/* The stretch around a closed run: from its beginning, so that what is open stays one mapping, with
 * the guard before it, to at most `most` pages from the run on. It does not end with a guard, which
 * would be charged for nothing. */
static struct run stretch_around(struct region *region, size_t page, size_t most)
{
    size_t first = page;
    size_t end = page;
    size_t usable = 0;
    while (first > 0 && page_is_closed(region, first - 1)) {
        first--;
    }
    for (size_t i = page; i < region->count && usable < most && page_is_closed(region, i); i++) {
        if (!page_is_fixed(region, i)) {
            usable++;
            end = i + 1;
        }
    }
    if (end + 1 < region->count && page_is_fixed(region, end) && page_is_closed(region, end) &&
        !page_is_closed(region, end + 1)) {
        end++; /* but for one that would stay a hole between open pages */
    }
    return (struct run){region, first, end - first};
}

static int open_stretch(struct pages *pages, struct run run)
{
    bool locked = false;
    int error = pages_open(pages, run, false, &locked);
    if (error != 0) {
        return error;
    }
    mark_open(run.region, run.page, run.count);
    for (size_t i = run.page; i < run.page + run.count; i++) {
        if (!page_is_fixed(run.region, i)) {
            chunk_of(run.region, i)->clean |= page_bit(i);
            runs_rebin(&pages->runs, chunk_of(run.region, i));
        }
    }
    return 0;
}

/* Halved down to what is asked for; at last the run alone, if the stretch around it is more. */
static int open_around(struct pages *pages, struct run run, size_t most)
{
    struct run stretch = stretch_around(run.region, run.page, most > run.count ? most : run.count);
    int error = open_stretch(pages, stretch);
    while (error == -ENOMEM && most > run.count) {
        most = most / 2 > run.count ? most / 2 : run.count;
        stretch = stretch_around(run.region, run.page, most);
        error = open_stretch(pages, stretch);
    }
    bool more = stretch.count > run.count;
    return error == -ENOMEM && more ? open_stretch(pages, run) : error;
}

int runs_open(struct pages *pages, size_t bytes, size_t count)
{
    struct run oldest = {NULL, 0, count};
    struct region *region = atomic_load_explicit(&pages->regions, memory_order_relaxed);
    for (; region != NULL; region = atomic_load_explicit(&region->next, memory_order_relaxed)) {
        if (find_closed(region, count, &oldest.page)) {
            oldest.region = region;
        }
    }
    return oldest.region != NULL ? open_around(pages, oldest, bytes >> pages->page_shift) : -ENOENT;
}

bool runs_take_unlocked(struct pages *pages, size_t count, struct run *run)
{
    struct region *region = atomic_load_explicit(&pages->regions, memory_order_relaxed);
    for (; region != NULL; region = atomic_load_explicit(&region->next, memory_order_relaxed)) {
        if (region->kind != REGION_SLABS || region->closed < count ||
            atomic_load_explicit(&region->dropped, memory_order_relaxed)) {
            continue;
        }
        for (size_t first = 0; first < region->count; first += CHUNK_PAGES) {
            struct chunk *chunk = chunk_of(region, first);
            uint32_t starts = run_starts(chunk->closed, count);
            bool locked = false;
            if (starts == 0) {
                continue;
            }
            size_t page = first + lowest(starts);
            if (pages_open(pages, (struct run){region, page, count}, true, &locked) != 0) {
                return false;
            }
            mark_open(region, page, count);
            uint32_t mask = run_mask(page % CHUNK_PAGES, count);
            runs_add_live(pages, chunk, mask);
            chunk->bare |= locked ? 0 : mask;
            *run = (struct run){region, page, count};
            return true;
        }
    }
    return false;
}
