/* SPDX-License-Identifier: ISC */
#include "heap/slab.h"

#include "base/check.h"
#include "base/wipe.h"

size_t slab_owner_stride(size_t page_size)
{
    return sizeof(struct slab) + page_size / SLOT_ALIGNMENT / 8;
}

size_t slab_records_stride(size_t page_size)
{
    return page_size / SLOT_ALIGNMENT * sizeof(slot_record);
}

struct slab *slab_at(const struct heap *heap, const struct region *region, size_t first_page)
{
    return (struct slab *)(void *)(region->owners + first_page * heap->pages.config.owner_stride);
}

slot_record *slab_records(const struct heap *heap, const struct region *region, size_t first_page)
{
    return (slot_record *)(void *)(region->records +
                                   first_page * heap->pages.config.records_stride);
}

static size_t first_page_of(const struct heap *heap, const struct slab *slab)
{
    return (size_t)((const char *)slab - slab->region->owners) / heap->pages.config.owner_stride;
}

/* ---- lists ---- */

static void leave(struct class_slabs *slabs, struct slab *slab)
{
    if (slab->prev != NULL) {
        slab->prev->next = slab->next;
    } else {
        slabs->bins[slab->bin] = slab->next;
    }
    if (slab->next != NULL) {
        slab->next->prev = slab->prev;
    }
    slab->next = NULL;
    slab->prev = NULL;
}

static void join(struct class_slabs *slabs, struct slab *slab, uint32_t slots)
{
    slab->bin = (uint16_t)((uint32_t)(slab->free_slots - 1) * SLAB_BINS / slots);
    slab->prev = NULL;
    slab->next = slabs->bins[slab->bin];
    if (slab->next != NULL) {
        slab->next->prev = slab;
    }
    slabs->bins[slab->bin] = slab;
}

static struct slab *fullest(const struct class_slabs *slabs)
{
    for (size_t bin = 0; bin < SLAB_BINS; bin++) {
        if (slabs->bins[bin] != NULL) {
            return slabs->bins[bin];
        }
    }
    return NULL;
}

/* ---- making and giving back ---- */

/* Reading a page that is not resident maps the zero page, and the first write faults again: the
 * check of free memory would cost each page a second fault. This faults it in for writing, and
 * changes nothing even if someone wrote to it after free. */
static void touch(const struct heap *heap, struct run run)
{
    for (size_t i = 0; i < run.count; i++) {
        _Atomic uint64_t *word = region_page(run.region, run.page + i, heap->page_shift);
        uint64_t zero = 0;
        (void)atomic_compare_exchange_strong_explicit(word, &zero, 0, memory_order_relaxed,
                                                      memory_order_relaxed);
    }
}

static void set_entries(struct run run, uint32_t entry, uint32_t step)
{
    for (size_t i = 0; i < run.count; i++) {
        atomic_store_explicit(&run.region->entries[run.page + i], entry + (uint32_t)i * step,
                              memory_order_release);
    }
}

static struct slab *make(struct heap *heap, uint32_t class, int *error)
{
    const struct size_class *c = &heap->classes.at[class];
    struct class_slabs *slabs = &heap->slabs[class];
    struct run run;
    *error = pages_take(&heap->pages, c->pages, &run);
    if (*error != 0) {
        return NULL;
    }
    touch(heap, run);
    struct slab *slab = slab_at(heap, run.region, run.page);
    slab->region = run.region;
    slab->class = (uint16_t) class;
    slab->free_slots = (uint16_t)c->slots;
    for (uint32_t i = 0; i < c->slots; i += SLAB_MAP_BITS) {
        uint32_t rest = c->slots - i;
        slab->free_map[i / SLAB_MAP_BITS] =
            rest >= SLAB_MAP_BITS ? UINT64_MAX : (UINT64_C(1) << rest) - 1;
    }
    set_entries(run, ENTRY_SLAB | class, 1u << ENTRY_INDEX_SHIFT);
    counter_add(&slabs->all_slots, c->slots);
    counter_add(&slabs->free_slots, c->slots);
    join(slabs, slab, c->slots);
    return slab;
}

static void give_back(struct heap *heap, struct slab *slab)
{
    const struct size_class *c = &heap->classes.at[slab->class];
    struct class_slabs *slabs = &heap->slabs[slab->class];
    struct run run = {slab->region, first_page_of(heap, slab), c->pages};
    counter_sub(&slabs->all_slots, c->slots);
    counter_sub(&slabs->free_slots, c->slots);
    set_entries(run, 0, 0);
    for (uint32_t i = 0; i < c->slots; i += SLAB_MAP_BITS) {
        slab->free_map[i / SLAB_MAP_BITS] = 0;
    }
    *slab = (struct slab){0};
    pages_give(&heap->pages, run);
}

/* ---- slots ---- */

/* A free slot at random: the next at or after a random place, so not quite evenly. */
static uint32_t pick(struct slab *slab, struct random *random, uint32_t slots)
{
    uint32_t words = (slots + SLAB_MAP_BITS - 1) / SLAB_MAP_BITS;
    uint32_t from = random_below(random, slots);
    uint32_t word = from / SLAB_MAP_BITS;
    uint64_t bits = slab->free_map[word] & (UINT64_MAX << (from % SLAB_MAP_BITS));
    while (bits == 0) {
        word = word + 1 < words ? word + 1 : 0;
        bits = slab->free_map[word];
    }
    uint32_t bit = (uint32_t)__builtin_ctzll(bits);
    slab->free_map[word] &= ~(UINT64_C(1) << bit);
    return word * SLAB_MAP_BITS + bit;
}

static size_t take_from(struct heap *heap, struct slab *slab, struct slot *slots, size_t count)
{
    const struct size_class *c = &heap->classes.at[slab->class];
    struct class_slabs *slabs = &heap->slabs[slab->class];
    size_t first_page = first_page_of(heap, slab);
    char *start = region_page(slab->region, first_page, heap->page_shift);
    slot_record *records = slab_records(heap, slab->region, first_page);
    size_t taken = count < slab->free_slots ? count : slab->free_slots;
    leave(slabs, slab);
    for (size_t i = 0; i < taken; i++) {
        uint32_t index = pick(slab, &slabs->random, c->slots);
        slots[i] = (struct slot){start + (size_t)index * c->slot_size, &records[index]};
    }
    slab->free_slots = (uint16_t)(slab->free_slots - taken);
    counter_sub(&slabs->free_slots, taken);
    if (slab->free_slots > 0) {
        join(slabs, slab, c->slots);
    }
    return taken;
}

size_t slab_take(struct heap *heap, uint32_t class, struct slot *slots, size_t count, int *error)
{
    size_t taken = 0;
    while (taken < count) {
        struct slab *slab = fullest(&heap->slabs[class]);
        if (slab == NULL) {
            /* One new slab is enough to go on with; the rest of the magazine can wait. */
            slab = taken == 0 ? make(heap, class, error) : NULL;
            if (slab == NULL) {
                break;
            }
        }
        taken += take_from(heap, slab, slots + taken, count - taken);
    }
    return taken;
}

static void put(struct heap *heap, uint32_t class, struct slot slot)
{
    const struct size_class *c = &heap->classes.at[class];
    struct class_slabs *slabs = &heap->slabs[class];
    struct region *region = registry_find(&heap->pages.registry, slot.start);
    size_t stride = heap->pages.config.records_stride;
    size_t first_page = (size_t)((uintptr_t)slot.record - (uintptr_t)region->records) / stride;
    struct slab *slab = slab_at(heap, region, first_page);
    uint32_t index = (uint32_t)(slot.record - slab_records(heap, region, first_page));
    uint64_t bit = UINT64_C(1) << (index % SLAB_MAP_BITS);
    INVARIANT(slab->region == region && slab->class == class);
    INVARIANT((slab->free_map[index / SLAB_MAP_BITS] & bit) == 0);
    slab->free_map[index / SLAB_MAP_BITS] |= bit;
    counter_add(&slabs->free_slots, 1);
    if (slab->free_slots > 0) {
        leave(slabs, slab);
    }
    slab->free_slots++;
    if (slab->free_slots == c->slots) {
        give_back(heap, slab);
    } else {
        join(slabs, slab, c->slots);
    }
}

void slab_put(struct heap *heap, uint32_t class, const struct slot *slots, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        put(heap, class, slots[i]);
    }
}
