/* SPDX-License-Identifier: ISC */
/*
 * A slab is a run cut into equal slots of one class. All that is known of it lies out of band: this
 * description and its free map in its first page's owner bytes, its records in the first page's
 * records; free memory holds no pointers. All of it is zero when the slab is given back.
 */
#ifndef SECURE_MALLOC_HEAP_SLAB_H
#define SECURE_MALLOC_HEAP_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "heap/heap.h"
#include "heap/record.h"

enum { SLAB_MAP_BITS = 64 };

/*
 * Under its class's mutex. free_slots is the number of bits in the free map; the others are live,
 * in a magazine, or on their way between. A slab is on its class's list `bin` if it has a free
 * slot, and is given back when all are free.
 */
struct slab {
    struct slab *next, *prev;
    struct region *region;
    uint16_t free_slots;
    uint16_t class;
    uint16_t bin;
    uint16_t unused;
    uint64_t free_map[]; /* one bit a slot, page_size / 16 bits */
};

/* A free slot, with the place of its record. */
struct slot {
    void *start;
    slot_record *record;
};

size_t slab_owner_stride(size_t page_size);
size_t slab_records_stride(size_t page_size);

/* Takes up to `count` free slots, at random from the fullest slabs, making a slab if there are
 * none. Returns how many; 0: *error says why. Under the class's mutex. */
size_t slab_take(struct heap *heap, uint32_t class, struct slot *slots, size_t count, int *error);

/* Puts free, wiped slots of one class back. A slab that empties goes back to the pages layer. Under
 * the class's mutex. */
void slab_put(struct heap *heap, uint32_t class, const struct slot *slots, size_t count);

/* The slab of a page, and where its parts are. */
struct slab *slab_at(const struct heap *heap, const struct region *region, size_t first_page);
slot_record *slab_records(const struct heap *heap, const struct region *region, size_t first_page);

/* The record of a slot, for the fast path: two bytes for each SLOT_ALIGNMENT bytes of data. */
INLINE slot_record *slab_record(const struct region *region, size_t slab_offset, uint32_t index)
{
    size_t slots_before = slab_offset / SLOT_ALIGNMENT;
    return (slot_record *)(void *)region->records + slots_before + index;
}

/* Visits every live slab: the page it begins at, and its class. Lock-free; what it sees may be gone
 * by the time it is told. */
typedef void slab_visit(struct heap *heap, struct region *region, size_t first_page, uint32_t class,
                        void *context);
void slab_visit_all(struct heap *heap, slab_visit *visit, void *context);

/* In a forked child, which has one thread: puts slots back that are neither live nor in a free map,
 * because a thread that does not exist here held them; counts the live bytes of all classes anew.
 */
void slab_recover_all(struct heap *heap);

void slab_validate(struct heap *heap, uint32_t class);

#endif
