/* SPDX-License-Identifier: ISC */
/*
 * What a forked child must do before fork returns to it: locks are never inherited, MADV_WIPEONFORK
 * drops guards, and memory that is to be gone must not become somebody else's.
 */
#include "pages/extents_list.h"
#include "pages/pages.h"

void pages_quiesce(struct pages *pages)
{
    mutex_lock(&pages->purge_mutex);
    mutex_lock(&pages->mutex);
    mutex_lock(&pages->bookkeeping.mutex);
}

void pages_resume(struct pages *pages)
{
    mutex_unlock(&pages->bookkeeping.mutex);
    mutex_unlock(&pages->mutex);
    mutex_unlock(&pages->purge_mutex);
}

/* Before the lock: guards cannot be installed in locked memory. */
static void restore_guards(struct pages *pages, struct region *region)
{
    for (size_t first = 0; first < region->count; first += CHUNK_PAGES) {
        if (chunk_of(region, first)->fixed == run_mask(CHUNK_PAGES - 1, 1)) {
            (void)os_guard_install(region_page(region, first + CHUNK_PAGES - 1, pages->page_shift),
                                   pages->config.page_size);
        }
    }
}

/* Best effort: what could not be locked again is used as it is, or, where it is free, closed. */
static void set_bare(struct pages *pages, struct region *region, size_t page, size_t end)
{
    counter_sub(&pages->counters.locked, pages_bytes(pages, end - page));
    pages_tell_unlocked(pages);
    for (; page < end; page++) {
        struct chunk *chunk = chunk_of(region, page);
        uint32_t bit = page_bit(page);
        if ((chunk->live & bit) != 0) {
            chunk->bare |= bit;
            counter_add(&pages->counters.unlocked, pages->config.page_size);
        } else if (((chunk->dirty | chunk->clean) & bit) != 0) {
            if ((chunk->dirty & bit) != 0) {
                counter_sub(&pages->counters.dirty, pages->config.page_size);
            }
            if (chunk->dirty == bit) {
                runs_dirty_leave(&pages->runs, chunk);
            }
            chunk->dirty &= ~bit;
            chunk->clean &= ~bit;
            runs_set_unlocked(pages, (struct run){region, page, 1});
            runs_rebin(&pages->runs, chunk);
        } else {
            chunk->fixed_open &= ~bit; /* a guard, no longer charged */
        }
    }
}

static bool is_locked(struct region *region, size_t page)
{
    struct chunk *chunk = chunk_of(region, page);
    uint32_t locked = chunk->live | chunk->dirty | chunk->clean | chunk->fixed_open;
    return (locked & ~chunk->bare & page_bit(page)) != 0;
}

static int relock_slabs(struct pages *pages, struct region *region, bool last_try)
{
    size_t high = atomic_load_explicit(&region->high, memory_order_relaxed);
    for (size_t page = 0; page < high;) {
        size_t end = page;
        while (end < high && is_locked(region, end)) {
            end++;
        }
        if (end > page) {
            int error = os_pages_relock(region_page(region, page, pages->page_shift),
                                        pages_bytes(pages, end - page), OS_READ_WRITE);
            if (error != 0) {
                if (!last_try || !pages->config.best_effort) {
                    return error;
                }
                counter_add(&pages->counters.relock_failures, 1);
                set_bare(pages, region, page, end);
            }
        }
        page = end + 1;
    }
    return 0;
}

static int relock_extent(struct pages *pages, struct extent *extent, pages_access_of *access_of,
                         bool last_try)
{
    bool live = extent->state == EXTENT_LIVE;
    size_t first = extent_first(extent);
    size_t size = pages_bytes(pages, extent->count);
    int error = os_pages_relock(region_page(extent->region, first, pages->page_shift), size,
                                live ? access_of(extent->region, first) : OS_READ_WRITE);
    if (error == 0) {
        return 0;
    }
    if (!last_try || !pages->config.best_effort) {
        return error;
    }
    counter_add(&pages->counters.relock_failures, 1);
    counter_sub(&pages->counters.locked, size);
    if (live) {
        pages_tell_unlocked(pages);
        extent->bare = 1;
        counter_add(&pages->counters.unlocked, size);
        return 0;
    }
    extents_unlist(pages, extent);
    extent->state = EXTENT_UNLOCKED;
    extent->bare = 1;
    if (extents_close(pages, extent) != 0) {
        pages->unlocked_free += extent->count;
    }
    return 0;
}

static int relock_large(struct pages *pages, struct region *region, pages_access_of *access_of,
                        bool last_try)
{
    for (size_t page = 0; page < region->count;) {
        struct extent *extent = &region->extents[page];
        size_t next = page + extent->count; /* closing joins it with its neighbours */
        bool open = extent->state == EXTENT_LIVE || extent->state == EXTENT_DIRTY ||
                    extent->state == EXTENT_CLEAN;
        if (open && extent->bare == 0) {
            int error = relock_extent(pages, extent, access_of, last_try);
            if (error != 0) {
                return error;
            }
        }
        page = next;
        while (page < region->count && region->extents[page].state == EXTENT_NONE) {
            page++;
        }
    }
    return 0;
}

static int relock_all(struct pages *pages, pages_access_of *access_of, bool last_try)
{
    struct region *region = atomic_load_explicit(&pages->regions, memory_order_relaxed);
    for (; region != NULL; region = atomic_load_explicit(&region->next, memory_order_relaxed)) {
        if (atomic_load_explicit(&region->dropped, memory_order_relaxed)) {
            continue;
        }
        int error = region->kind == REGION_SLABS ? relock_slabs(pages, region, last_try)
                                                 : relock_large(pages, region, access_of, last_try);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

/* MADV_WIPEONFORK drops guards; where it was refused, and best effort went on, the child wipes. */
static void finish_wipe(struct pages *pages)
{
    struct region *region = atomic_load_explicit(&pages->regions, memory_order_relaxed);
    for (; region != NULL; region = atomic_load_explicit(&region->next, memory_order_relaxed)) {
        if (region->kind == REGION_SLABS &&
            !atomic_load_explicit(&region->dropped, memory_order_relaxed)) {
            restore_guards(pages, region);
        }
        if (!region->fork_advised) {
            (void)os_pages_discard((void *)region->base, pages_bytes(pages, region->count));
        }
    }
}

int pages_relock(struct pages *pages, pages_access_of *access_of)
{
    if (pages->config.fork == OS_FORK_WIPE) {
        finish_wipe(pages);
    }
    if (relock_all(pages, access_of, false) == 0) {
        return 0;
    }
    /* The parent may have opened more, as root, than the child's limit allows: what holds no secret
     * is closed, and the rest may fit. */
    (void)pages_release(pages, UINT64_MAX);
    int error = relock_all(pages, access_of, true);
    if (error != 0) {
        counter_add(&pages->counters.relock_failures, 1);
    }
    return error;
}

static void drop_region(struct pages *pages, struct region *region, bool forked)
{
    /* Before the data goes: a signal handler that zeroizes finds nothing to wipe. */
    size_t high = atomic_load_explicit(&region->high, memory_order_relaxed);
    for (size_t page = 0; page < high; page++) {
        atomic_store_explicit(&region->entries[page], 0, memory_order_relaxed);
    }
    atomic_store_explicit(&region->dropped, true, memory_order_seq_cst);
    /* What MADV_DONTFORK has left out of a child may be another mapping's place by now. */
    bool may_be_foreign = forked && pages->config.fork == OS_FORK_DROP && region->fork_advised;
    (void)os_pages_replace((void *)region->base, pages_bytes(pages, region->count), may_be_foreign);
}

void pages_drop(struct pages *pages, bool forked)
{
    struct region *region = atomic_load_explicit(&pages->regions, memory_order_relaxed);
    for (; region != NULL; region = atomic_load_explicit(&region->next, memory_order_relaxed)) {
        if (!atomic_load_explicit(&region->dropped, memory_order_relaxed)) {
            drop_region(pages, region, forked);
        }
    }
    pages->runs = (struct runs){0};
    pages->extents = (struct extents){0};
    for (size_t kind = 0; kind < 2; kind++) {
        pages->last_size[kind] = 0;
        pages->data_size[kind] = 0;
    }
    pages->purge_hold = 0;
    pages->unlocked_free = 0;
    purge_policy_init(&pages->policy, pages->config.purge_limit);
    counter_set(&pages->counters.locked, 0);
    counter_set(&pages->counters.unlocked, 0);
    counter_set(&pages->counters.dirty, 0);
    counter_set(&pages->counters.live, 0);
}

/* ---- after mlockall ---- */

static void unlock(struct pages *pages, struct region *region, size_t page, size_t count)
{
    (void)os_pages_unlock(region_page(region, page, pages->page_shift), pages_bytes(pages, count));
}

static void unlock_closed_runs(struct pages *pages, struct region *region)
{
    for (size_t page = 0; page < region->count; page++) {
        size_t end = page;
        while (end < region->count && page_is_closed(region, end)) {
            end++;
        }
        if (end > page) {
            unlock(pages, region, page, end - page);
            page = end;
        }
    }
}

static void unlock_closed_extents(struct pages *pages, struct region *region)
{
    for (size_t page = 0; page < region->count; page += region->extents[page].count) {
        if (region->extents[page].state == EXTENT_CLOSED) {
            unlock(pages, region, page, region->extents[page].count);
        }
    }
}

void pages_unlock_unused(struct pages *pages)
{
    mutex_lock(&pages->mutex);
    struct region *region = atomic_load_explicit(&pages->regions, memory_order_relaxed);
    for (; region != NULL; region = atomic_load_explicit(&region->next, memory_order_relaxed)) {
        char *bookkeeping = (char *)region;
        (void)os_pages_unlock(bookkeeping, (size_t)((char *)region->base - bookkeeping));
        if (atomic_load_explicit(&region->dropped, memory_order_relaxed)) {
            unlock(pages, region, 0, region->count);
        } else if (region->kind == REGION_SLABS) {
            unlock_closed_runs(pages, region);
        } else {
            unlock_closed_extents(pages, region);
        }
    }
    mutex_unlock(&pages->mutex);
    bookkeeping_unlock(&pages->bookkeeping);
}
