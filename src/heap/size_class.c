/* SPDX-License-Identifier: ISC */
#include "heap/size_class.h"

#include "base/check.h"

/* A slab that wastes at most a sixteenth of itself is good enough; else the best of up to 8 pages.
 */
static uint32_t slab_pages(size_t slot_size, size_t page_size)
{
    uint32_t best = 0;
    size_t best_waste = 0;
    for (uint32_t pages = 1; pages <= SLAB_PAGES_MAX; pages++) {
        size_t size = pages * page_size;
        size_t waste = size % slot_size;
        if (size < slot_size) {
            continue;
        }
        if (waste * 16 <= size) {
            return pages;
        }
        if (best == 0 || waste * best < best_waste * pages) {
            best = pages;
            best_waste = waste;
        }
    }
    return best;
}

static uint32_t magazine_slots(size_t slot_size)
{
    size_t slots = MAGAZINE_BYTES_MAX / slot_size;
    slots = slots > MAGAZINE_SLOTS_MAX ? MAGAZINE_SLOTS_MAX : slots;
    return (uint32_t)(slots < MAGAZINE_SLOTS_MIN ? MAGAZINE_SLOTS_MIN : slots);
}

static void add(struct size_classes *classes, size_t slot_size, size_t page_size)
{
    struct size_class *class = &classes->at[classes->count++];
    class->slot_size = (uint32_t)slot_size;
    class->pages = slab_pages(slot_size, page_size);
    class->slots = (uint32_t)(class->pages * page_size / slot_size);
    class->reciprocal = ((UINT64_C(1) << RECIPROCAL_SHIFT) + slot_size - 1) / slot_size;
    class->magazine = magazine_slots(slot_size);
    /* A slab's records and free map lie with its first page. */
    REQUIRE(class->slots > 0 && class->slots <= page_size / SLOT_ALIGNMENT);
    REQUIRE(classes->count <= CLASS_MAX);
}

void size_classes_init(struct size_classes *classes, size_t page_size)
{
    size_t most = 4 * page_size < SLOT_SIZE_MAX ? 4 * page_size : SLOT_SIZE_MAX;
    classes->count = 0;
    for (size_t size = SLOT_ALIGNMENT; size <= FINE_MAX; size += SLOT_ALIGNMENT) {
        add(classes, size, page_size);
    }
    for (size_t round = FINE_MAX; round + SLOT_ALIGNMENT <= most; round *= 2) {
        for (size_t quarter = 0; quarter < 4; quarter++) {
            size_t size = round + round / 4 * quarter + SLOT_ALIGNMENT;
            if (size <= most) {
                add(classes, size, page_size);
            }
        }
    }
    classes->ordinary = classes->count;
    REQUIRE(classes->ordinary <= ALIGNED_FIRST);
    REQUIRE(size_class_of(SLOT_SIZE_MAX - CANARY_MIN) < ALIGNED_FIRST);
    classes->size_max = classes->at[classes->count - 1].slot_size - CANARY_MIN;
    classes->count = ALIGNED_FIRST;
    for (size_t size = ALIGNED_MIN; size <= ALIGNED_MAX; size *= 2) {
        add(classes, size, page_size);
    }
}

uint32_t size_class_aligned(const struct size_classes *classes, size_t alignment, size_t size)
{
    if (alignment > ALIGNED_MAX || size > ALIGNED_MAX - CANARY_MIN) {
        return CLASS_MAX;
    }
    for (uint32_t i = 0; i < classes->count; i++) {
        bool fits = classes->at[i].slot_size >= size + CANARY_MIN;
        bool aligned = classes->at[i].slot_size % alignment == 0;
        if (fits && aligned && (i < FINE_MAX / SLOT_ALIGNMENT || i >= ALIGNED_FIRST)) {
            return i;
        }
    }
    return CLASS_MAX;
}
