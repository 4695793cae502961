/* SPDX-License-Identifier: ISC */
#include "heap/size_class.h"

#include "base/check.h"
#include "heap/slot_shape.h"

/*
 * A slab that wastes at most a sixteenth of itself is good enough; else the best of up to 8 pages.
 * Slabs of a single page are for small slots alone: pages/runs.h keeps them apart from longer ones,
 * so that what small buffers leave behind does not lie among big ones, nor the other way round.
 */
enum { SINGLE_PAGE_SLOTS_MIN = 8 };

static uint32_t slab_pages(size_t slot_size, size_t page_size)
{
    uint32_t best = 0;
    size_t best_waste = 0;
    for (uint32_t pages = 1; pages <= SLAB_PAGES_MAX; pages++) {
        size_t size = pages * page_size;
        size_t waste = size % slot_size;
        if (size < slot_size || (pages == 1 && size / slot_size < SINGLE_PAGE_SLOTS_MIN)) {
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
    class->bins_a_slot = ((uint32_t)SLAB_BINS << BINS_SHIFT) / class->slots;
    class->magazine = magazine_slots(slot_size);
    class->cached = classes->cached;
    classes->cached += class->magazine;
    /* A slab's free map lies with its first page. */
    REQUIRE(class->slots > 0 && class->slots <= page_size / SLOT_ALIGNMENT);
    REQUIRE(classes->count <= CLASS_MAX);
}

/* The fast path knows these classes by heart. */
static void check_shape(const struct size_classes *classes, struct slot_shape shape)
{
    size_t last = shape_class_of(shape, shape.size_max);
    size_t covered = 2 * (size_t)shape.half + (shape.pieces == PIECES_BLOCKS ? 0 : BLOCK);
    for (size_t class = shape.first; class <= last; class ++) {
        size_t size = classes->at[class].slot_size;
        size_t below = class > 0 ? classes->at[class - 1].slot_size : 0;
        REQUIRE(size == shape_slot_size(shape, class) && size - below <= shape.step);
        REQUIRE(size <= covered && (shape.half <= size || shape.pieces == PIECES_MOVING_LINES));
        REQUIRE(size_class_of(size - shape.slack_min) == class);
    }
}

void size_classes_init(struct size_classes *classes, size_t page_size)
{
    size_t most = 4 * page_size < SLOT_SIZE_MAX ? 4 * page_size : SLOT_SIZE_MAX;
    classes->count = 0;
    classes->cached = 0;
    for (size_t size = SLOT_ALIGNMENT; size <= FINE_MAX; size += SLOT_ALIGNMENT) {
        add(classes, size, page_size);
    }
    for (size_t round = FINE_MAX - SLOT_ALIGNMENT; round < most; round *= 2) {
        for (size_t quarter = 1; quarter <= 4; quarter++) {
            size_t size = round + round / 4 * quarter + SLOT_ALIGNMENT;
            if (size <= most) {
                add(classes, size, page_size);
            }
        }
    }
    classes->ordinary = classes->count;
    REQUIRE(classes->ordinary <= ALIGNED_FIRST);
    REQUIRE(size_class_of(SLOT_SIZE_MAX - CANARY_WIDE) < ALIGNED_FIRST);
    classes->size_max = classes->at[classes->count - 1].slot_size - CANARY_WIDE;
    classes->count = ALIGNED_FIRST;
    for (size_t size = ALIGNED_MIN; size <= ALIGNED_MAX; size *= 2) {
        add(classes, size, page_size);
    }
    check_shape(classes, SHAPE_16);
    check_shape(classes, SHAPE_48);
    check_shape(classes, SHAPE_KEY);
    check_shape(classes, SHAPE_LONG_KEY);
    check_shape(classes, SHAPE_LONGEST_KEY);
    check_shape(classes, SHAPE_272);
    check_shape(classes, SHAPE_528);
    check_shape(classes, SHAPE_1040);
}

uint32_t size_class_aligned(const struct size_classes *classes, size_t alignment, size_t size)
{
    if (alignment > ALIGNED_MAX || size > ALIGNED_MAX - CANARY_MIN) {
        return CLASS_MAX;
    }
    for (uint32_t i = ALIGNED_FIRST; i < classes->count; i++) {
        bool fits = classes->at[i].slot_size >= size + CANARY_MIN;
        bool aligned = classes->at[i].slot_size % alignment == 0;
        if (fits && aligned) {
            return i;
        }
    }
    return CLASS_MAX;
}
