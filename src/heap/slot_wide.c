/* SPDX-License-Identifier: ISC */
#include "heap/slot_wide.h"

static void *allocate(struct heap *heap, size_t size, slot_allocate_slowly *slowly)
{
    return wide_allocate(heap, size, slowly);
}

static void free_wide(struct heap *heap, size_t class, char *start, slot_record *record,
                      size_t size)
{
    wide_free(heap, class, start, record, size);
}

static bool begins_zero(const void *start)
{
    return wide_begins_zero(start);
}

const struct slot_wide slot_wide_any = {
    .allocate = allocate,
    .free = free_wide,
    .wipe = wipe,
    .begins_zero = begins_zero,
};
