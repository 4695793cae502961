/* SPDX-License-Identifier: ISC */
/* The fast path of slots up to 128 bytes, but for the keys that heap/slot.h puts first; and of
 * frees where there are threads. */
#include "heap/slot.h"

SLOT_FUNCTIONS(16)
SLOT_FUNCTIONS(64)
SLOT_FUNCTIONS(128)

/* Long keys first, 64 to 120 bytes in multiples of 8. Then shape after shape, not by halves: of
 * sizes that come at random one question is guessed wrong then, and not two or three. */
void *slot_allocate_other(struct heap *heap, size_t size, slot_allocate_slowly *slowly)
{
    if (slot_is_long_key(size)) {
        return slot_allocate_shaped(heap, size, slowly, SHAPE_LONG_KEY);
    }
    if (size <= SHAPE_16.size_max) {
        return allocate_16(heap, size, slowly);
    }
    if (size <= SHAPE_64.size_max) {
        return allocate_64(heap, size, slowly);
    }
    if (size <= SHAPE_128.size_max) {
        return allocate_128(heap, size, slowly);
    }
    return heap_wide(heap)->allocate(heap, size, slowly);
}

void slot_free_other(struct heap *heap, size_t class, char *start, slot_record *record, size_t size)
{
    bool is_128 = class - SHAPE_128.first < SHAPE_272.first - SHAPE_128.first;
    if (is_128 && size % KEY_STEP == 0) {
        slot_free_shaped(heap, class, (struct slot){start, record}, size, SHAPE_LONG_KEY);
    } else if (class < SHAPE_64.first) {
        free_16(heap, class, start, record, size);
    } else if (class < SHAPE_128.first) {
        free_64(heap, class, start, record, size);
    } else if (is_128) {
        free_128(heap, class, start, record, size);
    } else {
        heap_wide(heap)->free(heap, class, start, record, size);
    }
}

void slot_free_threaded(struct heap *heap, const struct shortcut *shortcut, void *pointer,
                        size_t size)
{
    slot_free_in(heap, shortcut, pointer, size, true);
}
