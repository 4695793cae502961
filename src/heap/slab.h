/* SPDX-License-Identifier: ISC */
/*
 * A slab is a run cut into equal slots of one class. All that is known of it lies out of band: this
 * description and its free map in its first page's owner bytes, the record of each slot at the
 * place of its address; free memory holds no pointers. All of it is zero when the slab is given
 * back.
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
 * slot, and is given back when all are free. It stays in the home that it was made for.
 */
struct slab {
    struct slab *next, *prev;
    struct region *region;
    uint32_t first_page;
    uint16_t free_slots;
    uint8_t class;
    uint8_t bin;
    uint64_t free_map[]; /* one bit a slot, page_size / 16 bits */
};

/* A free slot, with the place of its record. */
struct slot {
    char *start;
    slot_record *record;
};

size_t slab_owner_stride(size_t page_size);
size_t slab_records_stride(size_t page_size);

/* Free slots of a class that are wanted for a home. */
struct slab_request {
    uint32_t class;
    uint32_t home;
    struct slot *slots;
    size_t count;
    bool any_way; /* see pages_take */
};

/*
 * Takes up to request->count free slots, at random from the fullest slabs of the home; if there are
 * none, from a new slab, or from other homes if those have many, or if no slab is easily made, or
 * from one that is made in any way. Returns how many; 0: *error says why. Under the class's mutex.
 */
size_t slab_take(struct heap *heap, const struct slab_request *request, int *error);

/* Which slots of a slab go, for slab_take: so many free ones, at random, that are free no longer.
 * The slab has that many; its count of them is the caller's to change. Under the class's mutex. */
void slab_pick(struct heap *heap, struct slab *slab, struct slot *slots, size_t count);

/* The home of the slab that a slot lies in. */
uint32_t slab_home(const struct heap *heap, const struct slot *slot);

/* Puts free, wiped slots of one class back. A slab that empties goes back to the pages layer. Under
 * the class's mutex. */
void slab_put(struct heap *heap, uint32_t class, const struct slot *slots, size_t count);

/* The slab of a page. */
struct slab *slab_at(const struct heap *heap, const struct region *region, size_t first_page);

/* On which list of its class and home a slab with free slots is: the fullest first. */
INLINE uint32_t slab_bin(const struct size_class *class, uint32_t home, uint32_t free_slots)
{
    return home * SLAB_BINS + (((free_slots - 1) * class->bins_a_slot) >> BINS_SHIFT);
}

/* The record of the slot that begins at an offset of the region's data. */
INLINE slot_record *slab_record(const struct region *region, size_t offset)
{
    return (slot_record *)(void *)region->records + offset / SLOT_ALIGNMENT;
}

/* The i-th slot of a slab. */
INLINE struct slot slab_slot(const struct heap *heap, const struct region *region,
                             size_t first_page, uint32_t class, uint32_t i)
{
    size_t first = first_page << heap->page_shift;
    size_t offset = first + (size_t)i * heap->classes.at[class].slot_size;
    return (struct slot){(char *)region->base + offset, slab_record(region, offset)};
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
