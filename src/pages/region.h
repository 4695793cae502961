/* SPDX-License-Identifier: ISC */
/*
 * A region: a stretch of reserved address space from which runs are cut, and the bookkeeping of its
 * pages. One reservation holds both:
 *
 *     guard | bookkeeping, readable and writable, unlocked | guard | data, 1 MiB aligned | guard
 *
 * A region is never unmapped and its bookkeeping never moves, so a lookup without a mutex can never
 * fault. There are two kinds. REGION_SLABS is cut by 32 pages, a chunk, with a guard as each
 * chunk's last page where the kernel can make one without a mapping of its own (pages/runs.h).
 * REGION_LARGE is cut into extents of any length with closed pages between them (pages/extents.h).
 */
#ifndef SECURE_MALLOC_PAGES_REGION_H
#define SECURE_MALLOC_PAGES_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "os/os.h"

enum region_kind { REGION_SLABS, REGION_LARGE };

enum { CHUNK_PAGES = 32 };

struct chunk;
struct extent;
struct pages;

/*
 * What anyone may ask about a page without a mutex: its entry.
 *   0                      never part of a run
 *   entry_of(c) + i         page i of a live slab of class c
 *   f + 1                  part of the extent that begins at page f; it may be free by now
 * A slab's entries are set before its first slot leaves it and cleared before its pages do.
 */
typedef _Atomic uint32_t page_entry;
enum { ENTRY_CLASS_SHIFT = 16, ENTRY_CLASS_MASK = 0xff, ENTRY_INDEX_MASK = 0xff };
#define ENTRY_SLAB UINT32_C(0x80000000)

INLINE uint32_t entry_of(uint32_t class)
{
    return ENTRY_SLAB | class << ENTRY_CLASS_SHIFT;
}

INLINE uint32_t entry_class(uint32_t entry)
{
    return (entry >> ENTRY_CLASS_SHIFT) & ENTRY_CLASS_MASK;
}

/* Which page of its slab an entry speaks of. */
INLINE size_t entry_index(uint32_t entry)
{
    return entry & ENTRY_INDEX_MASK;
}

/* Is it a slab's, and of a class below this one? As signed numbers, all slabs come first. */
INLINE bool entry_is_below(uint32_t entry, uint32_t class)
{
    return (int32_t)entry < (int32_t)entry_of(class);
}

struct region {
    /* Set when it is made, never changed: */
    uintptr_t base; /* of the data */
    size_t count;   /* pages of data */
    enum region_kind kind;
    bool fork_advised; /* the kernel took MADV_WIPEONFORK or MADV_DONTFORK, or neither is wanted */
    page_entry *entries;
    char *records;        /* for each page, records_stride bytes that belong to the run's owner, */
    char *owners;         /* and owner_stride bytes; all zero while the page is in no live run */
    struct chunk *chunks; /* REGION_SLABS */
    struct extent *extents;        /* REGION_LARGE */
    _Atomic(struct region *) next; /* made before this one */

    /* Read without a mutex, written under the pages mutex: */
    _Atomic size_t high;  /* no page at or above it was ever opened */
    _Atomic bool dropped; /* a forked child: its data is gone, and nothing is cut from it */

    /* Under the pages mutex, REGION_SLABS: */
    size_t closed;       /* pages that a run could be opened in */
    size_t first_closed; /* no closed page below it */
    size_t reserved;     /* bytes of address space, bookkeeping included */
};

INLINE void *region_page(const struct region *region, size_t page, unsigned page_shift)
{
    return (void *)(region->base + (page << page_shift));
}

INLINE bool region_holds(const struct region *region, const void *pointer, unsigned page_shift)
{
    return (uintptr_t)pointer - region->base < region->count << page_shift;
}

INLINE void region_raise_high(struct region *region, size_t end)
{
    if (end > atomic_load_explicit(&region->high, memory_order_relaxed)) {
        atomic_store_explicit(&region->high, end, memory_order_release);
    }
}

/*
 * Reserves a region of size bytes, halving down to `least` while there is no room for it. -ENOMEM,
 * or what os_pages_advise says if memory must not be used without what it asked for. Under the
 * pages mutex.
 */
int region_reserve(struct pages *pages, enum region_kind kind, size_t size, size_t least,
                   struct region **made);

/* Makes the records of pages resident that are about to be used. Best effort. */
void region_warm(const struct pages *pages, const struct region *region, size_t page, size_t count);

/* Drops the bookkeeping of pages that are in no live run and holds only zeros. */
struct bookkeeping_area {
    char *start;
    size_t stride; /* bytes a page */
};
void region_areas(const struct pages *pages, const struct region *region,
                  struct bookkeeping_area areas[2]);

#endif
