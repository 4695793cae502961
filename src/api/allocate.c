/* SPDX-License-Identifier: ISC */
/* The functions that hand memory out. */
#include <errno.h>
#include <string.h>

#include "api/state.h"
#include "heap/large.h"
#include "heap/slot.h"

static COLD void *failed(int error)
{
    errno = -error;
    return NULL;
}

static NOINLINE void *allocate(size_t size);

static NOINLINE void *allocate_in_every_way(size_t size)
{
    int error = state_ready();
    void *pointer = error == 0 ? heap_allocate(&state.heap, size, &error) : NULL;
    return pointer != NULL ? pointer : failed(error);
}

static NOINLINE void *allocate_slow(size_t size)
{
    if (LIKELY(slot_refilled(&state.heap, size))) {
        return allocate(size);
    }
    void *kept = large_allocate_kept(&state.heap, size);
    return LIKELY(kept != NULL) ? kept : allocate_in_every_way(size);
}

SECURE_MALLOC_API void *secure_malloc(size_t size)
{
    return slot_allocate(&state.heap, size, allocate_slow);
}

/* The same for this file: somebody may have put a function of his own before the one above, which
 * sees calls of the program, not ours. */
static void *allocate(size_t size)
{
    return slot_allocate(&state.heap, size, allocate_slow);
}

SECURE_MALLOC_API void *secure_calloc(size_t count, size_t size)
{
    size_t product = 0;
    if (__builtin_mul_overflow(count, size, &product)) {
        return failed(-ENOMEM);
    }
    return allocate(product);
}

static void *reallocate(void *ptr, size_t size)
{
    int error = 0;
    if (ptr == NULL) {
        return allocate(size);
    }
    void *result = heap_reallocate(&state.heap, ptr, size, &error);
    return result != NULL ? result : failed(error);
}

SECURE_MALLOC_API void *secure_realloc(void *ptr, size_t size)
{
    return reallocate(ptr, size);
}

SECURE_MALLOC_API void *secure_reallocarray(void *ptr, size_t count, size_t size)
{
    size_t product = 0;
    if (__builtin_mul_overflow(count, size, &product)) {
        return failed(-ENOMEM);
    }
    return reallocate(ptr, product);
}

SECURE_MALLOC_API void *secure_aligned_alloc(size_t alignment, size_t size)
{
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
        return failed(-EINVAL);
    }
    int error = state_ready();
    void *pointer = error == 0 ? heap_allocate_aligned(&state.heap, alignment, size, &error) : NULL;
    return pointer != NULL ? pointer : failed(error);
}

SECURE_MALLOC_API void *secure_malloc_guarded(size_t size)
{
    int error = state_ready();
    void *pointer = error == 0 ? heap_allocate_guarded(&state.heap, size, &error) : NULL;
    return pointer != NULL ? pointer : failed(error);
}

SECURE_MALLOC_API void *secure_memdup(const void *data, size_t size)
{
    void *copy = allocate(size);
    if (copy != NULL && size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

static char *duplicate(const char *string, size_t length)
{
    /* The end of the string needs no copy: the memory is zero. */
    char *copy = allocate(length + 1);
    if (copy != NULL) {
        memcpy(copy, string, length);
    }
    return copy;
}

SECURE_MALLOC_API char *secure_strndup(const char *string, size_t max)
{
    return duplicate(string, strnlen(string, max));
}

SECURE_MALLOC_API char *secure_strdup(const char *string)
{
    return duplicate(string, strlen(string));
}
