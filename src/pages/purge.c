/* SPDX-License-Identifier: ISC */
/*
 * Giving pages back. A batch is gathered under the mutex, sent to the kernel without it, and put
 * down under it again; purge_mutex is held throughout, so there is one batch at a time.
 */
#include "pages/extents_list.h"
#include "pages/pages.h"

struct batch {
    size_t count; /* of pages->ranges */
    uint64_t bytes;
    struct chunk *held; /* chunks with pages in state held */
};

static void add_range(struct pages *pages, struct batch *batch, void *start, size_t size,
                      bool locked)
{
    struct os_range *last = batch->count > 0 ? &pages->ranges[batch->count - 1] : NULL;
    /* Of bookkeeping nobody asks which range it was in: not even whether records or owners. */
    if (!locked && last != NULL && !last->locked &&
        (char *)last->start + last->size == (char *)start) {
        last->size += size;
        return;
    }
    pages->ranges[batch->count++] =
        (struct os_range){.start = start, .size = size, .locked = locked};
    batch->bytes += locked ? size : 0;
}

/* Are these pages all free, and none of them to be had before the batch is settled but for clean
 * ones? Closed ones are not held: another thread may open and take one while the kernel works. */
static bool may_hold(struct region *region, size_t first, size_t end)
{
    for (size_t page = first; page < end && page < region->count; page++) {
        struct chunk *chunk = chunk_of(region, page);
        uint32_t still = chunk->purging | chunk->clean | chunk->held | chunk->fixed;
        if ((still & page_bit(page)) == 0) {
            return false;
        }
    }
    return true;
}

static void hold(struct pages *pages, struct batch *batch, struct region *region, size_t first,
                 size_t end)
{
    for (size_t page = first; page < end && page < region->count; page++) {
        struct chunk *chunk = chunk_of(region, page);
        uint32_t bit = chunk->clean & page_bit(page);
        if (bit != 0) {
            if (chunk->held == 0) {
                chunk->held_next = batch->held;
                batch->held = chunk;
            }
            chunk->clean &= ~bit;
            chunk->held |= bit;
            runs_rebin(&pages->runs, chunk);
        }
    }
}

/*
 * Records and owners of free pages are zero: where a page of them speaks of free pages alone, it
 * goes back with them. Clean pages among those are held meanwhile: taken by another thread, their
 * new records would be discarded under it.
 */
static void gather_bookkeeping(struct pages *pages, struct batch *batch, struct chunk *chunk)
{
    struct bookkeeping_area areas[2];
    size_t page_size = pages->config.page_size;
    size_t first = chunk_first_page(chunk);
    region_areas(pages, chunk->region, areas);
    for (size_t i = 0; i < 2; i++) {
        size_t stride = areas[i].stride;
        size_t end = (first + CHUNK_PAGES) * stride;
        for (size_t at = first * stride / page_size * page_size; at < end; at += page_size) {
            size_t from = at / stride;
            size_t to = (at + page_size + stride - 1) / stride;
            if (from < chunk->region->count && may_hold(chunk->region, from, to)) {
                hold(pages, batch, chunk->region, from, to);
                add_range(pages, batch, areas[i].start + at, page_size, false);
            }
        }
    }
}

static void gather_chunk(struct pages *pages, struct batch *batch, struct chunk *chunk)
{
    struct region *region = chunk->region;
    size_t first = chunk_first_page(chunk);
    uint32_t dirty = chunk->dirty;
    runs_dirty_leave(&pages->runs, chunk);
    chunk->dirty = 0;
    chunk->purging |= dirty;
    runs_rebin(&pages->runs, chunk);
    counter_sub(&pages->counters.dirty, pages_bytes(pages, (size_t)__builtin_popcount(dirty)));
    while (dirty != 0) {
        size_t from = (size_t)__builtin_ctz(dirty);
        size_t count = (size_t)__builtin_ctzll(~((uint64_t)dirty >> from));
        add_range(pages, batch, region_page(region, first + from, pages->page_shift),
                  pages_bytes(pages, count), true);
        dirty &= ~run_mask(from, count);
    }
    gather_bookkeeping(pages, batch, chunk);
}

static void gather_extent(struct pages *pages, struct batch *batch, struct extent *extent)
{
    struct region *region = extent->region;
    size_t first = (size_t)(extent - region->extents);
    extents_unlist(pages, extent);
    extent->state = EXTENT_PURGING;
    add_range(pages, batch, region_page(region, first, pages->page_shift),
              pages_bytes(pages, extent->count), true);
}

/* The longest dirty first, until `bytes` are gathered or the ranges might not suffice. */
static struct batch gather(struct pages *pages, uint64_t bytes)
{
    struct batch batch = {0, 0, NULL};
    /* A chunk's 16 stretches, and pages of bookkeeping: 4 of records, and owners'. */
    size_t most =
        CHUNK_PAGES / 2 + 8 + CHUNK_PAGES * pages->config.owner_stride / pages->config.page_size;
    while (batch.bytes < bytes && batch.count + most <= OS_PURGE_RANGES_MAX) {
        struct chunk *chunk = pages->runs.dirty_first;
        struct extent *extent = pages->extents.dirty_first;
        if (chunk != NULL && (extent == NULL || chunk->dirty_since <= extent->dirty_since)) {
            gather_chunk(pages, &batch, chunk);
        } else if (extent != NULL) {
            gather_extent(pages, &batch, extent);
        } else {
            break;
        }
    }
    return batch;
}

static void unlock_pages(struct pages *pages, const struct os_range *range)
{
    counter_sub(&pages->counters.locked, range->size);
    counter_add(&pages->counters.relock_failures, 1);
}

static void settle_extent(struct pages *pages, struct extent *extent, struct os_range *range)
{
    if (range->result == OS_UNLOCKED) {
        unlock_pages(pages, range);
        extent->state = EXTENT_UNLOCKED;
        extent->bare = 1;
        if (extents_close(pages, extent) != 0) {
            pages->unlocked_free += extent->count;
        }
        return;
    }
    extents_set_free(pages, extent, range->result == OS_PURGED ? EXTENT_CLEAN : EXTENT_DIRTY);
}

static void settle_run(struct pages *pages, struct region *region, size_t page,
                       struct os_range *range)
{
    struct chunk *chunk = chunk_of(region, page);
    size_t count = range->size >> pages->page_shift;
    uint32_t mask = run_mask(page % CHUNK_PAGES, count);
    chunk->purging &= ~mask;
    if (range->result == OS_PURGED) {
        chunk->clean |= mask;
    } else if (range->result == OS_RESIDENT) {
        runs_add_dirty(pages, chunk, mask);
    } else {
        unlock_pages(pages, range);
        runs_set_unlocked(pages, (struct run){region, page, count});
    }
    runs_rebin(&pages->runs, chunk);
}

/* Returns the bytes that were given back. */
static size_t settle(struct pages *pages, const struct batch *batch)
{
    size_t given = 0;
    for (size_t i = 0; i < batch->count; i++) {
        struct os_range *range = &pages->ranges[i];
        if (!range->locked) {
            continue;
        }
        struct region *region = registry_find(&pages->registry, range->start);
        size_t page = ((uintptr_t)range->start - region->base) >> pages->page_shift;
        if (range->result == OS_RESIDENT) {
            counter_add(&pages->counters.purge_failures, 1);
        } else {
            given += range->size;
        }
        if (region->kind == REGION_LARGE) {
            settle_extent(pages, &region->extents[page], range);
        } else {
            settle_run(pages, region, page, range);
        }
    }
    for (struct chunk *chunk = batch->held; chunk != NULL; chunk = chunk->held_next) {
        chunk->clean |= chunk->held;
        chunk->held = 0;
        runs_rebin(&pages->runs, chunk);
    }
    counter_add(&pages->counters.purges, 1);
    counter_add(&pages->counters.purged, given);
    return given;
}

/* Both mutexes are held, but `mutex` not while the kernel works. */
static size_t purge_batch(struct pages *pages, uint64_t bytes)
{
    struct batch batch = gather(pages, bytes);
    if (batch.bytes == 0) {
        return 0;
    }
    mutex_unlock(&pages->mutex);
    os_pages_purge(&pages->purger, pages->ranges, batch.count);
    mutex_lock(&pages->mutex);
    return settle(pages, &batch);
}

bool pages_purge_due(struct pages *pages)
{
    if (LIKELY(!atomic_load_explicit(&pages->purge_due, memory_order_relaxed)) ||
        !mutex_try_lock(&pages->purge_mutex)) {
        return false;
    }
    size_t given = 0;
    mutex_lock(&pages->mutex);
    uint64_t live = counter_read(&pages->counters.live);
    uint64_t dirty = counter_read(&pages->counters.dirty);
    uint64_t due = purge_policy_due(&pages->policy, live, dirty);
    if (due > 0) {
        given = purge_batch(pages, due);
        purge_policy_done(&pages->policy, live, dirty, given);
        dirty = counter_read(&pages->counters.dirty);
        /* What the kernel would not take, it is not asked for again at each free. */
        pages->purge_hold = given > 0 ? 0 : dirty + due;
    }
    bool again = dirty > pages->purge_hold && purge_policy_due(&pages->policy, live, dirty) > 0;
    atomic_store_explicit(&pages->purge_due, again, memory_order_relaxed);
    mutex_unlock(&pages->mutex);
    mutex_unlock(&pages->purge_mutex);
    return given > 0;
}

size_t pages_purge(struct pages *pages)
{
    size_t given = 0;
    mutex_lock(&pages->purge_mutex);
    mutex_lock(&pages->mutex);
    /* What is freed meanwhile is not chased: it would never end beside busy threads. */
    uint64_t target = counter_read(&pages->counters.dirty);
    while (given < target) {
        size_t more = purge_batch(pages, target - given);
        if (more == 0) {
            break;
        }
        given += more;
    }
    atomic_store_explicit(&pages->purge_due, false, memory_order_relaxed);
    mutex_unlock(&pages->mutex);
    mutex_unlock(&pages->purge_mutex);
    return given;
}
