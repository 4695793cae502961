/* SPDX-License-Identifier: ISC */
/* The functions that take memory back. errno stays as it was: nothing below this folder changes it.
 */
#include "api/state.h"
#include "heap/slot.h"

SECURE_MALLOC_API void secure_free(void *ptr)
{
    slot_free(&state.heap, ptr, HEAP_ANY_SIZE);
}

/* No buffer has the size that stands for any. */
static COLD void free_impossible(void *ptr)
{
    if (ptr != NULL) {
        (void)heap_size_of(&state.heap, ptr);
        report_fault(FAULT_WRONG_SIZE, ptr, HEAP_ANY_SIZE);
    }
}

SECURE_MALLOC_API void secure_free_sized(void *ptr, size_t size)
{
    if (UNLIKELY(size == HEAP_ANY_SIZE)) {
        free_impossible(ptr);
        return;
    }
    slot_free(&state.heap, ptr, size);
}
