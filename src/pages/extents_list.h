/* SPDX-License-Identifier: ISC */
/* How extents are kept: their order in a region, and the lists that free and closed ones are on.
 * For pages/extents*.c alone. */
#ifndef SECURE_MALLOC_PAGES_EXTENTS_LIST_H
#define SECURE_MALLOC_PAGES_EXTENTS_LIST_H

#include "pages/extents.h"

/* Bins by size: exact up to 32 pages, then four a doubling. */
size_t extent_bin(size_t count);
void extent_bins_add(struct extent_bins *bins, struct extent *extent);
void extent_bins_remove(struct extent_bins *bins, struct extent *extent);
/* The first bin at or above `bin` that holds something; EXTENT_BINS: none. */
size_t extent_bins_next(const struct extent_bins *bins, size_t bin);

/* The sequence. left and right are NULL at the region's ends. */
struct extent *extent_set(struct region *region, size_t first, size_t count,
                          enum extent_state state);
size_t extent_first(const struct extent *extent);
struct extent *extent_right(const struct extent *extent);
struct extent *extent_left(const struct extent *extent);

/* Makes [first, first + count) closed, as one extent with the closed neighbours it has. */
void extents_add_closed(struct pages *pages, struct region *region, size_t first, size_t count);

/* Off the lists of free extents; on them again: extents_set_free. */
void extents_unlist(struct pages *pages, struct extent *extent);

void extent_set_entries(struct region *region, size_t first, size_t count, uint32_t entry);

#endif
