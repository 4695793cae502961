/* SPDX-License-Identifier: ISC */
/* Giving lock budget back: free stretches become what they were before they were opened. */
#include "pages/pages.h"

/* Each hole in a region costs two mappings, and so the limit on mappings, which everyone shares. */
enum { HOLES_MAX = 256 };

size_t pages_release_bytes(struct pages *pages, uint64_t bytes)
{
    size_t wanted = (size_t)(bytes >> pages->page_shift) + 1;
    size_t made = runs_holes(pages);
    size_t released = 0;
    struct release_terms terms = {
        .least = pages->last_size[REGION_SLABS] >> pages->page_shift,
        .wanted = wanted,
        .holes = made < HOLES_MAX ? HOLES_MAX - made : 0,
    };
    for (; terms.least > 0 && terms.wanted > 0; terms.least /= 2) {
        released += runs_release(pages, &terms);
    }
    if (released < wanted) {
        released += extents_release(pages, wanted - released);
    }
    return pages_bytes(pages, released);
}

size_t pages_release(struct pages *pages, uint64_t bytes)
{
    mutex_lock(&pages->mutex);
    size_t released = pages_release_bytes(pages, bytes);
    pages_look_if_due(pages);
    mutex_unlock(&pages->mutex);
    return released;
}
