/* SPDX-License-Identifier: ISC */
/* Runs for large buffers, as the heap asks for them. */
#include <errno.h>

#include "pages/pages.h"

int pages_possible(struct pages *pages, size_t count)
{
    uint64_t limit = pages->config.best_effort ? UINT64_MAX : pages_lock_limit(pages);
    uint64_t most = limit < os_memory_size() ? limit : os_memory_size();
    if (limit == 0) {
        return -EPERM;
    }
    return count > most >> pages->page_shift ? -ENOMEM : 0;
}

/* run->count says how many pages. */
static int take_or_open_large(struct pages *pages, size_t alignment, bool keep_unlocked,
                              struct run *run, size_t *cold)
{
    size_t count = run->count;
    if (extents_take(pages, count, alignment, run, cold)) {
        return 0;
    }
    int error = pages_possible(pages, count);
    if (error != 0) {
        return error;
    }
    extents_limit_free(pages);
    *cold = count;
    error = extents_open(pages, count, alignment, keep_unlocked, run);
    if (error == -ENOENT) {
        size_t page = pages->config.page_size;
        size_t spare = alignment > REGISTRY_GRANULE ? alignment : alignment - page;
        error = pages_add_region(pages, REGION_LARGE, pages_bytes(pages, count + 2) + spare);
        if (error == 0) {
            error = extents_open(pages, count, alignment, keep_unlocked, run);
        }
    }
    return error;
}

static int take_large_any_way(struct pages *pages, size_t alignment, struct run *run, size_t *cold)
{
    int error = take_or_open_large(pages, alignment, false, run, cold);
    if (error == 0 || pages_possible(pages, run->count) != 0) {
        return error;
    }
    pages_wait_for_purge(pages);
    (void)pages_release_bytes(pages, pages_bytes(pages, run->count));
    return take_or_open_large(pages, alignment, pages->config.best_effort, run, cold);
}

int pages_take_large(struct pages *pages, size_t count, size_t alignment, struct run *run,
                     size_t *cold)
{
    size_t align = alignment > pages->config.page_size ? alignment : pages->config.page_size;
    if (count > (SIZE_MAX >> (pages->page_shift + 2)) || align > SIZE_MAX / 4) {
        return -ENOMEM;
    }
    run->count = count;
    mutex_lock(&pages->mutex);
    int error = take_large_any_way(pages, align, run, cold);
    pages_note_taken(pages, error, *cold);
    mutex_unlock(&pages->mutex);
    return error;
}

bool pages_large_is_locked(const struct region *region, size_t first_page)
{
    return region->extents[first_page].bare == 0;
}

size_t pages_large_live(const struct region *region, size_t first_page)
{
    const struct extent *extent = &region->extents[first_page];
    return extent->state == EXTENT_LIVE ? extent->count : 0;
}

void pages_give_large(struct pages *pages, struct run run)
{
    mutex_lock(&pages->mutex);
    extents_give(pages, run);
    pages_look_if_due(pages);
    mutex_unlock(&pages->mutex);
}

void pages_strand_large(struct pages *pages, struct run run)
{
    mutex_lock(&pages->mutex);
    extents_strand(pages, run);
    mutex_unlock(&pages->mutex);
}

int pages_grow_large(struct pages *pages, struct run *run, size_t count)
{
    mutex_lock(&pages->mutex);
    int error = extents_grow(pages, run, count);
    mutex_unlock(&pages->mutex);
    return error;
}

int pages_shrink_large(struct pages *pages, struct run *run, size_t count)
{
    mutex_lock(&pages->mutex);
    int error = extents_shrink(pages, run, count);
    mutex_unlock(&pages->mutex);
    return error;
}
