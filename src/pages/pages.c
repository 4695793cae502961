/* SPDX-License-Identifier: ISC */
#include "pages/pages.h"

#include <errno.h>

#include "base/check.h"
#include "base/report.h"
#include "policy/lock_budget.h"

void pages_init(struct pages *pages, const struct pages_config *config)
{
    mutex_init(&pages->mutex);
    mutex_init(&pages->purge_mutex);
    pages->config = *config;
    pages->page_shift = (unsigned)__builtin_ctzll((unsigned long long)config->page_size);
    bookkeeping_init(&pages->bookkeeping, config->page_size);
    purge_policy_init(&pages->policy, config->purge_limit);
    os_purge_probe(&pages->purger);
    (void)pages_lock_limit(pages);
}

uint64_t pages_lock_limit(struct pages *pages)
{
    uint64_t limit = lock_budget_limit(pages->config.lock_limit, os_lock_limit());
    atomic_store_explicit(&pages->limit_seen, limit, memory_order_relaxed);
    return limit;
}

/* ---- opening and closing, counted ---- */

void pages_tell_unlocked(struct pages *pages)
{
    if (!pages->lock_failure_told) {
        pages->lock_failure_told = true;
        report_notice(
            "memory could not be locked; it is used unlocked (on_lock_failure=best-effort)");
    }
}

int pages_open(struct pages *pages, struct run run, bool keep_unlocked, bool *locked)
{
    void *start = run_start(pages, run);
    size_t size = pages_bytes(pages, run.count);
    uint64_t so_far = counter_read(&pages->counters.locked);
    int refused = -ENOMEM;
    int error = 0;
    if (lock_budget_allows(pages->config.lock_limit, so_far, size)) {
        error = os_pages_open(start, size, keep_unlocked, &refused);
    } else {
        error = keep_unlocked ? os_pages_open_bookkeeping(start, size) : -ENOMEM;
    }
    if (error != 0) {
        return error;
    }
    *locked = refused == 0;
    if (*locked) {
        counter_add(&pages->counters.locked, size);
    } else {
        counter_add(&pages->counters.lock_failures, 1);
        counter_add(&pages->counters.unlocked, size);
        pages_tell_unlocked(pages);
    }
    return 0;
}

int pages_close(struct pages *pages, struct run run, bool locked)
{
    size_t size = pages_bytes(pages, run.count);
    int error = os_pages_close(run_start(pages, run), size);
    if (error == 0 && locked) {
        counter_sub(&pages->counters.locked, size);
    }
    return error;
}

/* ---- slabs ---- */

int pages_add_region(struct pages *pages, enum region_kind kind, size_t needed)
{
    struct region *region = NULL;
    /* Under best effort a region may hold more than can be locked. */
    uint64_t limit = pages->config.best_effort ? UINT64_MAX : pages_lock_limit(pages);
    size_t size = lock_budget_region(limit, pages->data_size[kind], pages->last_size[kind], needed,
                                     pages->config.page_size);
    return region_reserve(pages, kind, size, needed, &region);
}

/* Opens a run of `needed` bytes, with a step around it, in a new region if need be. */
static int open_more(struct pages *pages, size_t needed)
{
    uint64_t limit = pages_lock_limit(pages);
    uint64_t locked = counter_read(&pages->counters.locked);
    size_t step = lock_budget_step(limit, locked, needed, pages->config.page_size);
    if (!pages->config.best_effort) {
        if (limit == 0) {
            return -EPERM; /* what the kernel would say, before address space is spent on it */
        }
        /* The kernel counts at least what we do: it need not be asked for what is beyond. */
        if (needed > limit || locked > limit - needed) {
            return -ENOMEM;
        }
        step = step < limit - locked ? step : (size_t)(limit - locked);
    }
    size_t count = needed >> pages->page_shift;
    int error = runs_open(pages, step, count);
    if (error == -ENOENT) {
        error = pages_add_region(pages, REGION_SLABS, needed);
        if (error == 0) {
            error = runs_open(pages, step, count);
        }
    }
    return error;
}

/* Until there is a run, or no more memory. Each turn opens at least a page, so it ends. */
static int take_or_open(struct pages *pages, size_t count, struct run *run, size_t *cold)
{
    while (!runs_take(pages, count, run, cold)) {
        int error = open_more(pages, pages_bytes(pages, count));
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

void pages_wait_for_purge(struct pages *pages)
{
    mutex_unlock(&pages->mutex);
    mutex_lock(&pages->purge_mutex);
    mutex_unlock(&pages->purge_mutex);
    mutex_lock(&pages->mutex);
}

static int take_unlocked(struct pages *pages, size_t count, struct run *run)
{
    if (runs_take_unlocked(pages, count, run)) {
        return 0;
    }
    int error = pages_add_region(pages, REGION_SLABS, pages_bytes(pages, count));
    return error == 0 && !runs_take_unlocked(pages, count, run) ? -ENOMEM : error;
}

static int take_any_way(struct pages *pages, size_t count, struct run *run, size_t *cold)
{
    int error = take_or_open(pages, count, run, cold);
    if (error == 0) {
        return 0;
    }
    pages_wait_for_purge(pages);
    (void)pages_release_bytes(pages, pages_bytes(pages, count));
    error = take_or_open(pages, count, run, cold);
    if (error != 0 && pages->config.best_effort) {
        error = take_unlocked(pages, count, run);
        *cold = count;
    }
    return error;
}

void pages_note_taken(struct pages *pages, int error, size_t cold)
{
    if (error != 0) {
        counter_add(&pages->counters.lock_failures, 1);
        return;
    }
    purge_policy_taken(&pages->policy, counter_read(&pages->counters.live),
                       counter_read(&pages->counters.dirty), pages_bytes(pages, cold));
}

/* Faults a cold run in, and some pages behind it that a growing heap will want next, by one call: a
 * fault for each costs half as much again. The mutex is not held meanwhile; purge_mutex is, for
 * what must wait until every free page is on a list again. */
static bool warm(struct pages *pages, struct run run)
{
    uint64_t ahead = purge_policy_ahead(&pages->policy, counter_read(&pages->counters.live),
                                        counter_read(&pages->counters.dirty));
    size_t most = (size_t)(ahead >> pages->page_shift);
    if (run.count + most == 1 || !mutex_try_lock(&pages->purge_mutex)) {
        return false;
    }
    size_t more = runs_warm_begin(pages, run, most);
    size_t count = run.count + more;
    mutex_unlock(&pages->mutex);
    bool done = count > 1 && os_pages_populate(run_start(pages, run), pages_bytes(pages, count));
    if (done) {
        region_warm(pages, run.region, run.page, count);
    }
    mutex_lock(&pages->mutex);
    runs_warm_end(pages, run, more, done);
    if (done) {
        /* They were faulted in for the same demand, and will be taken without a fault. */
        pages_note_taken(pages, 0, more);
    }
    mutex_unlock(&pages->purge_mutex);
    return done;
}

int pages_take(struct pages *pages, size_t count, bool any_way, struct run *run, size_t *cold)
{
    INVARIANT(count > 0 && count <= RUN_PAGES_MAX);
    mutex_lock(&pages->mutex);
    int error =
        any_way ? take_any_way(pages, count, run, cold) : take_or_open(pages, count, run, cold);
    if (error == 0 || any_way) {
        pages_note_taken(pages, error, *cold);
    }
    if (error == 0 && *cold > 0 && warm(pages, *run)) {
        *cold = 0;
    }
    mutex_unlock(&pages->mutex);
    return error;
}

void pages_look_if_due(struct pages *pages)
{
    uint64_t dirty = counter_read(&pages->counters.dirty);
    bool due = dirty > pages->purge_hold &&
               purge_policy_due(&pages->policy, counter_read(&pages->counters.live), dirty) > 0;
    atomic_store_explicit(&pages->purge_due, due, memory_order_relaxed);
}

void pages_give(struct pages *pages, struct run run)
{
    mutex_lock(&pages->mutex);
    runs_give(pages, run);
    pages_look_if_due(pages);
    mutex_unlock(&pages->mutex);
}

/* Guards take a page of each chunk. */
static uint64_t with_guards(uint64_t size)
{
    return size + size / (CHUNK_PAGES - 1) + CHUNK_PAGES;
}

/* One region for all of it, so that a failure leaves no more than that behind. */
static int reserve(struct pages *pages, uint64_t size)
{
    struct region *region = NULL;
    size_t page = pages->config.page_size;
    if (size == 0) {
        return 0;
    }
    if (size > os_memory_size()) {
        return -ENOMEM;
    }
    size_t whole = (size_t)(with_guards(size) / page + 1) * page;
    int error = region_reserve(pages, REGION_SLABS, whole, whole, &region);
    while (error == 0 && counter_read(&pages->counters.locked) < size) {
        uint64_t left = size - counter_read(&pages->counters.locked);
        error = runs_open(pages, (size_t)left + page - 1, 1);
    }
    return error;
}

int pages_reserve(struct pages *pages, uint64_t size)
{
    mutex_lock(&pages->mutex);
    int error = reserve(pages, size);
    mutex_unlock(&pages->mutex);
    return error;
}

bool pages_overlap(struct pages *pages, uintptr_t start, uintptr_t end)
{
    size_t guard = pages->config.page_size;
    struct region *region = atomic_load_explicit(&pages->regions, memory_order_acquire);
    for (; region != NULL; region = atomic_load_explicit(&region->next, memory_order_relaxed)) {
        uintptr_t data_end = region->base + pages_bytes(pages, region->count);
        if (start < data_end + guard && end > (uintptr_t)region - guard) {
            return true;
        }
    }
    return bookkeeping_overlap(&pages->bookkeeping, start, end);
}

void pages_validate(struct pages *pages)
{
    mutex_lock(&pages->mutex);
    struct region *region = atomic_load_explicit(&pages->regions, memory_order_relaxed);
    for (; region != NULL; region = atomic_load_explicit(&region->next, memory_order_relaxed)) {
        if (atomic_load_explicit(&region->dropped, memory_order_relaxed)) {
            continue;
        }
        REQUIRE(registry_find(&pages->registry, (void *)region->base) == region);
        if (region->kind == REGION_SLABS) {
            runs_validate(pages, region);
        } else {
            extents_validate(pages, region);
        }
    }
    mutex_unlock(&pages->mutex);
}
