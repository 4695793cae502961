/* SPDX-License-Identifier: ISC */
#include "pages/region.h"

#include <errno.h>

#include "base/check.h"
#include "pages/pages.h"

static size_t round_up(size_t size, size_t multiple)
{
    return (size + multiple - 1) / multiple * multiple;
}

/* Where each part of the bookkeeping begins, as offsets from its start. */
struct layout {
    size_t entries, plan, owners, records, end;
};

static struct layout lay_out(const struct pages *pages, enum region_kind kind, size_t count)
{
    const struct pages_config *config = &pages->config;
    size_t chunks = (count + CHUNK_PAGES - 1) / CHUNK_PAGES;
    size_t plan =
        kind == REGION_SLABS ? chunks * sizeof(struct chunk) : count * sizeof(struct extent);
    size_t records = kind == REGION_SLABS ? count * config->records_stride : 0;
    struct layout at = {0};
    at.entries = round_up(sizeof(struct region), 64);
    at.plan = round_up(at.entries + count * sizeof(page_entry), 64);
    /* Owners and records begin on pages, so that those of idle pages can be discarded. */
    at.owners = round_up(at.plan + plan, config->page_size);
    at.records = round_up(at.owners + count * config->owner_stride, config->page_size);
    at.end = round_up(at.records + records, config->page_size);
    return at;
}

/* The guard before the data must not be a neighbour's memory, so it is part of the reservation. */
static int reserve(struct pages *pages, const struct layout *layout, size_t size, char **data)
{
    size_t page = pages->config.page_size;
    size_t front = page + layout->end + page;
    size_t whole = front + size + page;
    void *start = NULL;
    int error = os_pages_reserve(whole + REGISTRY_GRANULE, page, &start);
    if (error != 0) {
        return error;
    }
    char *from = start;
    uintptr_t base = round_up((uintptr_t)from + front, REGISTRY_GRANULE);
    *data = from + (base - (uintptr_t)from);
    char *keep = *data - front;
    if (keep > from) {
        os_pages_unreserve(from, (size_t)(keep - from));
    }
    char *end = from + whole + REGISTRY_GRANULE;
    if (keep + whole < end) {
        os_pages_unreserve(keep + whole, (size_t)(end - (keep + whole)));
    }
    return 0;
}

/* What on_lock_failure makes of a refusal to leave memory out of core files or children. */
static int forgive(struct pages *pages, int refused)
{
    if (refused == 0) {
        return 0;
    }
    counter_add(&pages->counters.lock_failures, 1);
    if (pages->config.best_effort) {
        return 0;
    }
    return refused == -ENOMEM ? -ENOMEM : -EPERM;
}

static struct region *describe(struct pages *pages, enum region_kind kind, size_t count,
                               const struct layout *layout, char *data)
{
    char *bookkeeping = data - pages->config.page_size - layout->end;
    struct region *region = (struct region *)(void *)bookkeeping;
    region->base = (uintptr_t)data;
    region->count = count;
    region->kind = kind;
    region->entries = (page_entry *)(void *)(bookkeeping + layout->entries);
    region->owners = bookkeeping + layout->owners;
    region->reserved = layout->end + pages_bytes(pages, count) + 3 * pages->config.page_size;
    if (kind == REGION_SLABS) {
        region->records = bookkeeping + layout->records;
        region->chunks = (struct chunk *)(void *)(bookkeeping + layout->plan);
    } else {
        region->extents = (struct extent *)(void *)(bookkeeping + layout->plan);
    }
    return region;
}

static int make(struct pages *pages, enum region_kind kind, size_t size, struct region **made)
{
    size_t page = pages->config.page_size;
    size_t count = size / page;
    struct layout layout = lay_out(pages, kind, count);
    char *data = NULL;
    int error = reserve(pages, &layout, size, &data);
    if (error != 0) {
        return error;
    }
    char *bookkeeping = data - page - layout.end;
    size_t whole = page + layout.end + page + size + page;
    /* Bookkeeping is always inherited: the child frees, or forgets, by it. */
    (void)os_pages_advise(bookkeeping, layout.end, OS_FORK_KEEP);
    int refused = os_pages_advise(data, size, pages->config.fork);
    error = forgive(pages, refused);
    if (error == 0) {
        error = os_pages_open_bookkeeping(bookkeeping, layout.end);
    }
    if (error != 0) {
        os_pages_unreserve(bookkeeping - page, whole);
        return error;
    }
    struct region *region = describe(pages, kind, count, &layout, data);
    error = registry_add(&pages->registry, &pages->bookkeeping, region, region->base, size);
    if (error != 0) {
        os_pages_unreserve(bookkeeping - page, whole);
        return error;
    }
    region->fork_advised = refused == 0;
    *made = region;
    return 0;
}

int region_reserve(struct pages *pages, enum region_kind kind, size_t size, size_t least,
                   struct region **made)
{
    int error = make(pages, kind, size, made);
    while (error == -ENOMEM && size / 2 >= least) {
        size = round_up(size / 2, pages->config.page_size);
        error = make(pages, kind, size, made);
    }
    if (error != 0) {
        return error;
    }
    struct region *region = *made;
    if (kind == REGION_SLABS) {
        runs_add_region(pages, region);
    } else {
        extents_add_region(pages, region);
    }
    pages->last_size[kind] = size;
    pages->data_size[kind] += size;
    counter_add(&pages->counters.reserved, region->reserved);
    atomic_store_explicit(&region->next,
                          atomic_load_explicit(&pages->regions, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&pages->regions, region, memory_order_release);
    return 0;
}

void region_areas(const struct pages *pages, const struct region *region,
                  struct bookkeeping_area areas[2])
{
    areas[0] = (struct bookkeeping_area){region->owners, pages->config.owner_stride};
    areas[1] = (struct bookkeeping_area){region->records, pages->config.records_stride};
}

void region_warm(const struct pages *pages, const struct region *region, size_t page, size_t count)
{
    size_t page_size = pages->config.page_size;
    size_t stride = pages->config.records_stride;
    size_t from = page * stride / page_size * page_size;
    size_t to = round_up((page + count) * stride, page_size);
    if (to - from > page_size) {
        (void)os_pages_populate(region->records + from, to - from);
    }
}
