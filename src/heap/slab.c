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

/* ---- lists ---- */

static uint32_t home_of(const struct slab *slab)
{
    return slab->bin / SLAB_BINS;
}

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

static void join(struct class_slabs *slabs, struct slab *slab, uint32_t bin)
{
    slab->bin = (uint8_t)bin;
    slab->prev = NULL;
    slab->next = slabs->bins[slab->bin];
    if (slab->next != NULL) {
        slab->next->prev = slab;
    }
    slabs->bins[slab->bin] = slab;
}

/* After its number of free slots has changed; it has some. */
static void move(struct class_slabs *slabs, struct slab *slab, uint32_t bin)
{
    if (slab->bin != bin) {
        leave(slabs, slab);
        join(slabs, slab, bin);
    }
}

/* Of one home. */
static struct slab *fullest(const struct class_slabs *slabs, uint32_t home)
{
    struct slab *const *bins = &slabs->bins[(size_t)home * SLAB_BINS];
    for (size_t bin = 0; bin < SLAB_BINS; bin++) {
        if (bins[bin] != NULL) {
            return bins[bin];
        }
    }
    return NULL;
}

static struct slab *fullest_elsewhere(const struct class_slabs *slabs, uint32_t home)
{
    struct slab *slab = NULL;
    for (uint32_t i = 1; i < HOMES && slab == NULL; i++) {
        slab = fullest(slabs, (home + i) % HOMES);
    }
    return slab;
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

static struct slab *make(struct heap *heap, const struct slab_request *request, int *error)
{
    uint32_t class = request->class;
    const struct size_class *c = &heap->classes.at[class];
    struct class_slabs *slabs = &heap->slabs[class];
    struct run run;
    size_t cold = 0;
    *error = pages_take(&heap->pages, c->pages, request->any_way, &run, &cold);
    if (*error != 0) {
        return NULL;
    }
    if (cold > 0) {
        touch(heap, run);
    }
    struct slab *slab = slab_at(heap, run.region, run.page);
    slab->region = run.region;
    slab->first_page = (uint32_t)run.page;
    slab->class = (uint8_t) class;
    slab->free_slots = (uint16_t)c->slots;
    for (uint32_t i = 0; i < c->slots; i += SLAB_MAP_BITS) {
        uint32_t rest = c->slots - i;
        slab->free_map[i / SLAB_MAP_BITS] =
            rest >= SLAB_MAP_BITS ? UINT64_MAX : (UINT64_C(1) << rest) - 1;
    }
    set_entries(run, entry_of(class), 1);
    counter_add(&slabs->all_slots, c->slots);
    counter_add(&slabs->free_slots, c->slots);
    join(slabs, slab, slab_bin(c, request->home, c->slots));
    return slab;
}

static void give_back(struct heap *heap, struct slab *slab)
{
    const struct size_class *c = &heap->classes.at[slab->class];
    struct class_slabs *slabs = &heap->slabs[slab->class];
    struct run run = {slab->region, slab->first_page, c->pages};
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

static size_t take_from(struct heap *heap, struct slab *slab, struct slot *slots, size_t count)
{
    const struct size_class *c = &heap->classes.at[slab->class];
    struct class_slabs *slabs = &heap->slabs[slab->class];
    size_t taken = count < slab->free_slots ? count : slab->free_slots;
    slab_pick(heap, slab, slots, taken);
    slab->free_slots = (uint16_t)(slab->free_slots - taken);
    counter_sub(&slabs->free_slots, taken);
    if (slab->free_slots == 0) {
        leave(slabs, slab);
    } else {
        move(slabs, slab, slab_bin(c, home_of(slab), slab->free_slots));
    }
    return taken;
}

/* What other homes have is left to them, unless it is so much that memory would be wasted. */
enum { SLABS_LEFT_ALONE = 4 };

static struct slab *find(const struct heap *heap, const struct slab_request *request)
{
    const struct size_class *c = &heap->classes.at[request->class];
    const struct class_slabs *slabs = &heap->slabs[request->class];
    struct slab *slab = fullest(slabs, request->home);
    bool many = counter_read(&slabs->free_slots) >= (uint64_t)SLABS_LEFT_ALONE * c->slots;
    if (slab == NULL && (many || request->any_way)) {
        slab = fullest_elsewhere(slabs, request->home);
    }
    return slab;
}

size_t slab_take(struct heap *heap, const struct slab_request *request, int *error)
{
    size_t taken = 0;
    bool made = false;
    while (taken < request->count) {
        struct slab *slab = find(heap, request);
        /* What is left of a slab may be too little to come for, but one new slab is enough to go on
         * with: the rest of the magazine can wait. */
        if (slab == NULL && !made && taken < (request->count + 3) / 4) {
            made = true;
            slab = make(heap, request, error);
            slab = slab != NULL ? slab
                                : fullest_elsewhere(&heap->slabs[request->class], request->home);
        }
        if (slab == NULL) {
            break;
        }
        taken += take_from(heap, slab, request->slots + taken, request->count - taken);
    }
    return taken;
}

static struct slab *slab_of(const struct heap *heap, const struct slot *slot)
{
    const struct region *region = registry_find(&heap->pages.registry, slot->start);
    size_t page = ((uintptr_t)slot->start - region->base) >> heap->page_shift;
    uint32_t entry = atomic_load_explicit(&region->entries[page], memory_order_relaxed);
    return slab_at(heap, region, page - entry_index(entry));
}

uint32_t slab_home(const struct heap *heap, const struct slot *slot)
{
    return home_of(slab_of(heap, slot));
}

/* So many more of its slots are free than before. */
static void settle(struct heap *heap, struct slab *slab, size_t more)
{
    const struct size_class *c = &heap->classes.at[slab->class];
    struct class_slabs *slabs = &heap->slabs[slab->class];
    bool listed = slab->free_slots > 0;
    slab->free_slots = (uint16_t)(slab->free_slots + more);
    counter_add(&slabs->free_slots, more);
    if (slab->free_slots == c->slots) {
        if (listed) {
            leave(slabs, slab);
        }
        give_back(heap, slab);
        return;
    }
    uint32_t bin = slab_bin(c, home_of(slab), slab->free_slots);
    if (listed) {
        move(slabs, slab, bin);
    } else {
        join(slabs, slab, bin);
    }
}

/* The first slots, as far as they lie in one slab: what came from one often comes back together.
 * Returns how many. */
static size_t put_neighbours(struct heap *heap, uint32_t class, const struct slot *slots,
                             size_t count)
{
    const struct size_class *c = &heap->classes.at[class];
    struct slab *slab = slab_of(heap, slots);
    INVARIANT(slab->region != NULL && slab->class == class);
    uintptr_t start = (uintptr_t)region_page(slab->region, slab->first_page, heap->page_shift);
    size_t given = 0;
    do {
        uint32_t index = slot_index(c, (uintptr_t)slots[given].start - start);
        uint64_t bit = UINT64_C(1) << (index % SLAB_MAP_BITS);
        INVARIANT((slab->free_map[index / SLAB_MAP_BITS] & bit) == 0);
        slab->free_map[index / SLAB_MAP_BITS] |= bit;
        given++;
    } while (given < count && (uintptr_t)slots[given].start - start < c->pages << heap->page_shift);
    settle(heap, slab, given);
    return given;
}

void slab_put(struct heap *heap, uint32_t class, const struct slot *slots, size_t count)
{
    for (size_t at = 0; at < count;) {
        at += put_neighbours(heap, class, slots + at, count - at);
    }
}
