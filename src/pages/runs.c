/* SPDX-License-Identifier: ISC */
#include "pages/runs.h"

#include <errno.h>

#include "base/check.h"
#include "pages/pages.h"

static uint32_t longest_run(uint32_t mask)
{
    uint32_t longest = 0;
    while (mask != 0 && longest < RUN_PAGES_MAX) {
        mask &= mask << 1;
        longest++;
    }
    return longest;
}

/* ---- lists ---- */

static void leave_bin(struct runs *runs, struct chunk *chunk)
{
    if (chunk->free_prev != NULL) {
        chunk->free_prev->free_next = chunk->free_next;
    } else {
        runs->free[chunk->kind][chunk->bin] = chunk->free_next;
    }
    if (chunk->free_next != NULL) {
        chunk->free_next->free_prev = chunk->free_prev;
    }
    chunk->free_prev = NULL;
    chunk->free_next = NULL;
}

static void join_bin(struct runs *runs, struct chunk *chunk)
{
    struct chunk **first = &runs->free[chunk->kind][chunk->bin];
    chunk->free_next = *first;
    if (*first != NULL) {
        (*first)->free_prev = chunk;
    }
    *first = chunk;
}

static void set_bin(struct runs *runs, struct chunk *chunk, uint32_t bin, enum chunk_kind kind)
{
    if (bin == chunk->bin && kind == chunk->kind) {
        return;
    }
    if (chunk->bin != 0) {
        leave_bin(runs, chunk);
    }
    chunk->bin = (uint8_t)bin;
    chunk->kind = (uint8_t)kind;
    if (bin != 0) {
        join_bin(runs, chunk);
    }
}

void runs_rebin(struct runs *runs, struct chunk *chunk)
{
    set_bin(runs, chunk, longest_run(chunk->dirty | chunk->clean),
            chunk->live != 0 ? chunk->kind : CHUNK_IDLE);
}

static void dirty_join(struct runs *runs, struct chunk *chunk)
{
    chunk->dirty_since = runs->clock++;
    chunk->dirty_next = NULL;
    chunk->dirty_prev = runs->dirty_last;
    if (runs->dirty_last != NULL) {
        runs->dirty_last->dirty_next = chunk;
    } else {
        runs->dirty_first = chunk;
    }
    runs->dirty_last = chunk;
}

void runs_dirty_leave(struct runs *runs, struct chunk *chunk)
{
    if (chunk->dirty_prev != NULL) {
        chunk->dirty_prev->dirty_next = chunk->dirty_next;
    } else {
        runs->dirty_first = chunk->dirty_next;
    }
    if (chunk->dirty_next != NULL) {
        chunk->dirty_next->dirty_prev = chunk->dirty_prev;
    } else {
        runs->dirty_last = chunk->dirty_prev;
    }
    chunk->dirty_next = NULL;
    chunk->dirty_prev = NULL;
}

void runs_add_dirty(struct pages *pages, struct chunk *chunk, uint32_t mask)
{
    if (mask == 0) {
        return;
    }
    if (chunk->dirty == 0) {
        dirty_join(&pages->runs, chunk);
    }
    chunk->dirty |= mask;
    counter_add(&pages->counters.dirty, pages_bytes(pages, pages_in(mask)));
    runs_rebin(&pages->runs, chunk);
}

/* ---- regions ---- */

static bool install_guard(struct pages *pages, struct region *region, size_t page)
{
    if (pages->probed && !pages->guards) {
        return false;
    }
    bool installed =
        os_guard_install(region_page(region, page, pages->page_shift), pages->config.page_size);
    pages->guards = installed;
    pages->probed = true;
    return installed;
}

/* The whole grid at once, while the region is inaccessible and unlocked: guards cannot be installed
 * in locked memory, and installed step by step each step would get an anon_vma of its own, and the
 * kernel's mappings would never merge. */
void runs_add_region(struct pages *pages, struct region *region)
{
    for (size_t first = 0; first < region->count; first += CHUNK_PAGES) {
        struct chunk *chunk = chunk_of(region, first);
        size_t count = region->count - first;
        chunk->region = region;
        chunk->closed = run_mask(0, count);
        chunk->fixed = ~chunk->closed;
        if (count >= CHUNK_PAGES && install_guard(pages, region, first + CHUNK_PAGES - 1)) {
            chunk->fixed = run_mask(CHUNK_PAGES - 1, 1);
            chunk->closed &= ~chunk->fixed;
        }
        region->closed += pages_in(chunk->closed);
    }
}

/* ---- taking and giving ---- */

void runs_add_live(struct pages *pages, struct chunk *chunk, uint32_t mask)
{
    size_t count = pages_in(mask);
    enum chunk_kind kind = chunk->live == 0 ? chunk_kind_for(count) : (enum chunk_kind)chunk->kind;
    chunk->live |= mask;
    set_bin(&pages->runs, chunk, longest_run(chunk->dirty | chunk->clean), kind);
    counter_add(&pages->counters.live, pages_bytes(pages, count));
}

static struct run claim(struct pages *pages, struct chunk *chunk, size_t first, size_t count)
{
    uint32_t mask = run_mask(first, count);
    size_t resident = pages_in(chunk->dirty & mask);
    INVARIANT(((chunk->dirty | chunk->clean) & mask) == mask);
    if (resident != 0) {
        chunk->dirty &= ~mask;
        counter_sub(&pages->counters.dirty, pages_bytes(pages, resident));
        if (chunk->dirty == 0) {
            runs_dirty_leave(&pages->runs, chunk);
        }
    }
    chunk->clean &= ~mask;
    runs_add_live(pages, chunk, mask);
    return (struct run){chunk->region, chunk_first_page(chunk) + first, count};
}

bool runs_take(struct pages *pages, size_t count, struct run *run, size_t *cold)
{
    struct chunk *chunk = runs_find(&pages->runs, count);
    if (chunk == NULL) {
        return false;
    }
    uint32_t starts = run_starts(chunk->dirty, count);
    if (starts == 0) {
        starts = run_starts(chunk->dirty | chunk->clean, count);
    }
    *cold = pages_in(chunk->clean & run_mask(lowest(starts), count));
    *run = claim(pages, chunk, lowest(starts), count);
    return true;
}

size_t runs_warm_begin(struct pages *pages, struct run run, size_t most)
{
    struct chunk *chunk = chunk_of(run.region, run.page);
    size_t first = run.page % CHUNK_PAGES + run.count;
    size_t count = 0;
    while (count < most && first + count < CHUNK_PAGES &&
           (chunk->clean & run_mask(first + count, 1)) != 0) {
        count++;
    }
    if (count > 0) { /* else the run may end with its chunk, and there is no mask behind it */
        chunk->clean &= ~run_mask(first, count);
        chunk->purging |= run_mask(first, count);
        runs_rebin(&pages->runs, chunk);
    }
    return count;
}

void runs_warm_end(struct pages *pages, struct run run, size_t count, bool done)
{
    struct chunk *chunk = chunk_of(run.region, run.page);
    if (count > 0) {
        uint32_t mask = run_mask(run.page % CHUNK_PAGES + run.count, count);
        chunk->purging &= ~mask;
        if (done) {
            runs_add_dirty(pages, chunk, mask);
        } else {
            chunk->clean |= mask;
            runs_rebin(&pages->runs, chunk);
        }
    }
}

void runs_set_unlocked(struct pages *pages, struct run run)
{
    struct chunk *chunk = chunk_of(run.region, run.page);
    uint32_t mask = run_mask(run.page % CHUNK_PAGES, run.count);
    if (pages_close(pages, run, false) != 0) {
        chunk->unlocked |= mask;
        pages->unlocked_free += run.count;
        return;
    }
    chunk->closed |= mask;
    run.region->closed += run.count;
    if (run.page < run.region->first_closed) {
        run.region->first_closed = run.page;
    }
}

void runs_give(struct pages *pages, struct run run)
{
    struct chunk *chunk = chunk_of(run.region, run.page);
    uint32_t mask = run_mask(run.page % CHUNK_PAGES, run.count);
    INVARIANT((chunk->live & mask) == mask);
    chunk->live &= ~mask;
    counter_sub(&pages->counters.live, pages_bytes(pages, run.count));
    if ((chunk->bare & mask) != 0) {
        chunk->bare &= ~mask;
        counter_sub(&pages->counters.unlocked, pages_bytes(pages, run.count));
        runs_set_unlocked(pages, run);
        runs_rebin(&pages->runs, chunk);
        return;
    }
    runs_add_dirty(pages, chunk, mask);
}

/* ---- validation ---- */

void runs_validate(const struct pages *pages, const struct region *region)
{
    size_t closed = 0;
    for (size_t first = 0; first < region->count; first += CHUNK_PAGES) {
        const struct chunk *c = &region->chunks[first / CHUNK_PAGES];
        const uint32_t states[] = {c->live,  c->dirty,    c->purging, c->held,
                                   c->clean, c->unlocked, c->closed,  c->fixed};
        uint32_t all = 0;
        for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
            REQUIRE((all & states[i]) == 0);
            all |= states[i];
        }
        REQUIRE(all == UINT32_MAX);
        REQUIRE((c->fixed_open & ~c->fixed) == 0);
        REQUIRE((c->bare & ~c->live) == 0);
        REQUIRE(c->bin == longest_run(c->dirty | c->clean));
        REQUIRE((c->live == 0) == (c->kind == CHUNK_IDLE));
        REQUIRE(c->bin == 0 || (c->free_prev == NULL) == (pages->runs.free[c->kind][c->bin] == c));
        REQUIRE((c->dirty != 0 && c->dirty_prev == NULL) == (pages->runs.dirty_first == c));
        closed += pages_in(c->closed);
    }
    REQUIRE(closed == region->closed);
}
