/* SPDX-License-Identifier: ISC */
/*
 * The order in which slots leave their slab. Whoever allocates many buffers at once comes here for
 * each of them: so the loops know where the slab begins, and whether a slot is free behind the
 * place where a random number falls, which nobody can guess, is no branch.
 */
#include "heap/slab.h"

#include "base/check.h"

enum { PLACE_BITS = 16, PLACES = 64 / PLACE_BITS };

/* Where to look next. A random number is good for four: there are never more than 4,096 slots. */
struct places {
    struct random *random;
    uint64_t bits;
    uint32_t slots;
};

INLINE uint32_t next_place(struct places *places, size_t i)
{
    places->bits = i % PLACES == 0 ? random_next(places->random) : places->bits >> PLACE_BITS;
    return ((uint32_t)(uint16_t)places->bits * places->slots) >> PLACE_BITS;
}

/* A free slot of a word that has one: the next at or after a place or, if there is none, the first.
 * So not quite evenly. */
INLINE uint32_t pick_bit(uint64_t *word, uint32_t from)
{
    INVARIANT(*word != 0);
    uint64_t behind = *word & (UINT64_MAX << from);
    uint32_t bit = (uint32_t)__builtin_ctzll(behind != 0 ? behind : *word);
    *word &= ~(UINT64_C(1) << bit);
    return bit;
}

/* The processor cannot guess which slot comes next, and the caller will have it: it is fetched. */
INLINE struct slot slot_behind(struct slot first, uint32_t index, uint32_t slot_size)
{
    size_t offset = (size_t)index * slot_size;
    struct slot slot = {first.start + offset, first.record + offset / SLOT_ALIGNMENT};
    __builtin_prefetch(slot.start, 1);
    __builtin_prefetch(slot.start + slot_size - 1, 1);
    return slot;
}

void slab_pick(struct heap *heap, struct slab *slab, struct slot *slots, size_t count)
{
    const struct size_class *c = &heap->classes.at[slab->class];
    const uint32_t slot_size = c->slot_size;
    const struct slot first = slab_slot(heap, slab->region, slab->first_page, slab->class, 0);
    struct places places = {&heap->slabs[slab->class].random, 0, c->slots};
    INVARIANT(count <= slab->free_slots);
    if (c->slots <= SLAB_MAP_BITS) {
        /* The map in a register: in memory, each pick would wait for the one before. */
        uint64_t word = slab->free_map[0];
        for (size_t i = 0; i < count; i++) {
            slots[i] = slot_behind(first, pick_bit(&word, next_place(&places, i)), slot_size);
        }
        slab->free_map[0] = word;
        return;
    }
    uint32_t words = (c->slots + SLAB_MAP_BITS - 1) / SLAB_MAP_BITS;
    for (size_t i = 0; i < count; i++) {
        uint32_t place = next_place(&places, i);
        uint32_t at = place / SLAB_MAP_BITS;
        while (slab->free_map[at] == 0) {
            at = at + 1 < words ? at + 1 : 0;
        }
        uint32_t bit = pick_bit(&slab->free_map[at], place % SLAB_MAP_BITS);
        slots[i] = slot_behind(first, at * SLAB_MAP_BITS + bit, slot_size);
    }
}
