/* SPDX-License-Identifier: ISC */
#include "unit/layer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/check.h"
#include "heap/large.h"
#include "heap/magazine.h"
#include "heap/slab.h"
#include "os/os.h"
#include "support/limits.h"

enum { LOCKED_BY_TESTS = 64 * 1024 * 1024 };

/* Also in a forked child, where cmocka's checks would jump back into the runner. */
#define SAME(a, b) same((uint64_t)(a), (uint64_t)(b), #a " is " #b, __LINE__)

static void same(uint64_t a, uint64_t b, const char *what, int line)
{
    if (a != b) {
        fprintf(stderr, "layer.c:%d: not so: %s (%llu, %llu)\n", line, what, (unsigned long long)a,
                (unsigned long long)b);
        fflush(NULL);
        abort();
    }
}

int layer_setup(void **state)
{
    (void)state;
    os_faults.pretend_locks = !limits_need_memlock(LOCKED_BY_TESTS);
    return 0;
}

struct pages_config layer_pages_config(void)
{
    size_t page_size = os_page_size();
    return (struct pages_config){
        .page_size = page_size,
        .records_stride = slab_records_stride(page_size),
        .owner_stride = slab_owner_stride(page_size),
        .purge_limit = UINT64_MAX,
    };
}

struct heap_config layer_heap_config(void)
{
    return (struct heap_config){
        .pages = layer_pages_config(),
        .canary = true,
        .check_free = true,
    };
}

static void *zeroed(size_t size)
{
    void *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(start != MAP_FAILED);
    return start;
}

struct pages *layer_pages(const struct pages_config *config)
{
    struct pages *pages = zeroed(sizeof(*pages));
    os_faults_reset();
    pages_init(pages, config);
    return pages;
}

struct heap *layer_heap(const struct heap_config *config)
{
    struct heap *heap = zeroed(sizeof(*heap));
    os_faults_reset();
    /* The api's hook would give a thread's cache to the heap of the api. */
    cache_set_exit_hook(NULL);
    cache_mine = &cache_none;
    heap_init(heap, config);
    return heap;
}

/* By hand and not by pages_drop, so that a test of that may fail. */
static void unmap(struct pages *pages)
{
    struct region *region = atomic_load(&pages->regions);
    while (region != NULL) {
        struct region *next = atomic_load(&region->next);
        size_t page = pages->config.page_size;
        char *start = (char *)region - page;
        char *end = (char *)region->base + pages_bytes(pages, region->count) + page;
        munmap(start, (size_t)(end - start));
        region = next;
    }
    struct bookkeeping_reservation *at = pages->bookkeeping.reservations;
    while (at != NULL) {
        struct bookkeeping_reservation *next = at->next;
        munmap((char *)at - pages->config.page_size, at->size);
        at = next;
    }
}

void layer_end_pages(struct pages *pages)
{
    os_faults_reset();
    unmap(pages);
    munmap(pages, sizeof(*pages));
}

void layer_end_heap(struct heap *heap)
{
    os_faults_reset();
    cache_mine = &cache_none;
    unmap(&heap->pages);
    munmap(heap, sizeof(*heap));
}

int layer_take(struct pages *pages, size_t count, struct run *run)
{
    size_t cold = 0;
    return pages_take(pages, count, true, run, &cold);
}

int layer_take_large(struct pages *pages, size_t count, size_t alignment, struct run *run)
{
    size_t cold = 0;
    return pages_take_large(pages, count, alignment, run, &cold);
}

/* ---- the books ---- */

struct books {
    uint64_t locked, unlocked, dirty, live, unlocked_free, mapped_open;
};

static void count_runs(const struct region *region, struct books *sum)
{
    for (size_t first = 0; first < region->count; first += CHUNK_PAGES) {
        const struct chunk *c = &region->chunks[first / CHUNK_PAGES];
        sum->locked += pages_in((c->live & ~c->bare) | c->dirty | c->purging | c->held | c->clean);
        sum->locked += pages_in(c->fixed_open);
        sum->unlocked += pages_in(c->bare);
        sum->live += pages_in(c->live);
        sum->dirty += pages_in(c->dirty);
        sum->unlocked_free += pages_in(c->unlocked);
    }
}

static void count_extents(const struct region *region, struct books *sum)
{
    for (size_t page = 0; page < region->count; page += region->extents[page].count) {
        const struct extent *e = &region->extents[page];
        for (size_t inside = page + 1; inside < page + e->count; inside++) {
            SAME(region->extents[inside].state, EXTENT_NONE);
        }
        switch ((enum extent_state)e->state) {
        case EXTENT_LIVE:
            sum->live += e->count;
            *(e->bare ? &sum->unlocked : &sum->locked) += e->count;
            break;
        case EXTENT_DIRTY:
            sum->dirty += e->count;
            sum->locked += e->count;
            break;
        case EXTENT_PURGING:
        case EXTENT_CLEAN:
            sum->locked += e->count;
            break;
        case EXTENT_UNLOCKED:
            sum->unlocked_free += e->count;
            break;
        default:
            break;
        }
    }
}

void layer_check_books(struct pages *pages)
{
    struct books sum = {0};
    size_t page = pages->config.page_size;
    pages_validate(pages);
    for (struct region *r = atomic_load(&pages->regions); r != NULL; r = atomic_load(&r->next)) {
        if (!atomic_load(&r->dropped)) {
            (r->kind == REGION_SLABS ? count_runs : count_extents)(r, &sum);
        }
    }
    SAME(counter_read(&pages->counters.locked), sum.locked * page);
    SAME(counter_read(&pages->counters.unlocked), sum.unlocked * page);
    SAME(counter_read(&pages->counters.dirty), sum.dirty * page);
    SAME(counter_read(&pages->counters.live), sum.live * page);
    SAME(pages->unlocked_free, sum.unlocked_free);
    SAME(os_faults.unwiped, 0);
}

/* ---- what the kernel says ---- */

struct seen {
    const struct pages *pages;
    uint64_t locked, open_unlocked;
    unsigned long mappings;
};

static uint64_t guards_in(const struct pages *pages, struct region *r, uintptr_t from, uintptr_t to)
{
    uint64_t guards = 0;
    for (uintptr_t at = from; r->kind == REGION_SLABS && at < to; at += pages->config.page_size) {
        guards += pages_is_guard(r, (at - r->base) >> pages->page_shift);
    }
    return guards * pages->config.page_size;
}

/* *guards: how much of it are pages that hold nothing. */
static uint64_t ours_in(const struct pages *pages, const struct os_mapping *mapping,
                        uint64_t *guards)
{
    uint64_t ours = 0;
    *guards = 0;
    for (struct region *r = atomic_load(&pages->regions); r != NULL; r = atomic_load(&r->next)) {
        uintptr_t end = r->base + pages_bytes(pages, r->count);
        uintptr_t from = mapping->start > r->base ? mapping->start : r->base;
        uintptr_t to = mapping->end < end ? mapping->end : end;
        if (to > from) {
            ours += to - from;
            *guards += guards_in(pages, r, from, to);
        }
    }
    return ours;
}

static int look(const struct os_mapping *mapping, void *context)
{
    struct seen *seen = context;
    uint64_t guards = 0;
    uint64_t ours = ours_in(seen->pages, mapping, &guards);
    seen->mappings += ours != 0;
    if (mapping->locked) {
        seen->locked += ours;
    } else if (mapping->readable || mapping->writable) {
        seen->open_unlocked += ours - guards;
    }
    return 0;
}

static struct seen ask_kernel(const struct pages *pages)
{
    struct seen seen = {.pages = pages};
    SAME(os_mappings_visit(look, &seen), 0);
    return seen;
}

uint64_t layer_open_unlocked(const struct pages *pages)
{
    return ask_kernel(pages).open_unlocked;
}

unsigned long layer_mappings(const struct pages *pages)
{
    return ask_kernel(pages).mappings;
}

void layer_check_pages(struct pages *pages)
{
    layer_check_books(pages);
    if (os_faults.pretend_locks) {
        return;
    }
    struct seen seen = ask_kernel(pages);
    SAME(seen.locked, counter_read(&pages->counters.locked));
    SAME(seen.open_unlocked,
         counter_read(&pages->counters.unlocked) + pages_bytes(pages, pages->unlocked_free));
}

/* ---- the heap ---- */

struct live {
    uint64_t count, bytes;
};

static void add_slots(struct heap *heap, struct region *region, size_t page, uint32_t class,
                      void *context)
{
    struct live *live = context;
    for (uint32_t i = 0; i < heap->classes.at[class].slots; i++) {
        uint16_t record = atomic_load(slab_slot(heap, region, page, class, i).record);
        live->count += record != 0;
        live->bytes += record != 0 ? slot_record_size(record) : 0;
    }
}

static void add_large(struct heap *heap, struct region *region, size_t page, void *context)
{
    uint64_t record = atomic_load(&large_at(heap, region, page)->record);
    struct live *live = context;
    live->count += record != 0;
    live->bytes += record != 0 ? large_record_size(record) : 0;
}

struct heap_numbers layer_numbers(struct heap *heap)
{
    struct heap_numbers numbers;
    heap_count(heap, &numbers);
    return numbers;
}

void layer_check_heap(struct heap *heap)
{
    struct live live = {0, 0};
    struct heap_numbers numbers = layer_numbers(heap);
    heap_validate(heap);
    layer_check_books(&heap->pages);
    slab_visit_all(heap, add_slots, &live);
    large_visit_all(heap, add_large, &live);
    SAME(numbers.live_count, live.count);
    SAME(numbers.live_bytes, live.bytes);
    SAME(numbers.live_count + numbers.cached_slots + numbers.free_slots, numbers.all_slots);
    SAME(atomic_load(&heap->claims), 0);
}

struct region *layer_region(struct pages *pages, enum region_kind kind)
{
    struct region *region = atomic_load(&pages->regions);
    while (region != NULL && region->kind != kind) {
        region = atomic_load(&region->next);
    }
    return region;
}

/* ---- threads ---- */

struct job {
    void (*body)(void *context);
    void *context;
};

static void *run_job(void *context)
{
    const struct job *job = context;
    job->body(job->context);
    return NULL;
}

void layer_in_thread(void (*body)(void *context), void *context)
{
    struct job job = {body, context};
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, run_job, &job) == 0);
    REQUIRE(pthread_join(thread, NULL) == 0);
}
