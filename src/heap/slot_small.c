/* SPDX-License-Identifier: ISC */
/* The fast path of slots up to 128 bytes, but for the keys that heap/slot.h puts first; and of
 * frees where there are threads. */
#include "heap/slot.h"

SLOT_FUNCTIONS(16)
SLOT_FUNCTIONS(64)
SLOT_FUNCTIONS(128)

/* Shape after shape, the most frequent one last. Who knows nothing of the next size guesses that it
 * is that one, each time: one question of these at the most is answered against the guess, and none
 * where it is right. The shape of two doublings comes more often than those of one. */
void *slot_allocate_other(struct heap *heap, size_t size, slot_allocate_slowly *slowly)
{
    const struct slot_wide *wide = heap_wide(heap);
    if (size > SHAPE_528.size_max) {
        return wide->allocate_longer(heap, size, slowly);
    }
    if (size > SHAPE_272.size_max) {
        return wide->allocate_528(heap, size, slowly);
    }
    if (size > SHAPE_128.size_max) {
        return wide->allocate_272(heap, size, slowly);
    }
    if (size > SHAPE_64.size_max) {
        return allocate_128(heap, size, slowly);
    }
    return LIKELY(size > SHAPE_16.size_max) ? allocate_64(heap, size, slowly)
                                            : allocate_16(heap, size, slowly);
}

void slot_free_other(struct heap *heap, size_t class, char *start, slot_record *record, size_t size)
{
    const struct slot_wide *wide = heap_wide(heap);
    if (class >= SHAPE_1040.first) {
        wide->free_longer(heap, class, start, record, size);
    } else if (class >= SHAPE_528.first) {
        wide->free_528(heap, class, start, record, size);
    } else if (class >= SHAPE_272.first) {
        wide->free_272(heap, class, start, record, size);
    } else if (class >= SHAPE_128.first) {
        free_128(heap, class, start, record, size);
    } else if (LIKELY(class >= SHAPE_64.first)) {
        free_64(heap, class, start, record, size);
    } else {
        free_16(heap, class, start, record, size);
    }
}

void slot_free_threaded(struct heap *heap, const struct shortcut *shortcut, void *pointer,
                        size_t size)
{
    slot_free_in(heap, shortcut, pointer, size, true);
}
