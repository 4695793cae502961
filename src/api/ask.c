/* SPDX-License-Identifier: ISC */
/* Questions about a buffer, and what is done to its bytes and its protection. */
#include <errno.h>

#include "api/state.h"
#include "base/wipe.h"

_Static_assert((int)SECURE_NO_ACCESS == (int)OS_NO_ACCESS &&
                   (int)SECURE_READ_ONLY == (int)OS_READ_ONLY &&
                   (int)SECURE_READ_WRITE == (int)OS_READ_WRITE,
               "access is handed down as it is");

SECURE_MALLOC_API int secure_protect(void *ptr, enum secure_access access)
{
    if (ptr == NULL || (unsigned)access > SECURE_READ_WRITE) {
        return fail(-EINVAL);
    }
    int error = heap_protect(&state.heap, ptr, (enum os_access)access);
    return error == 0 ? 0 : fail(error);
}

SECURE_MALLOC_API size_t secure_usable_size(const void *ptr)
{
    return ptr != NULL ? heap_size_of(&state.heap, ptr) : 0;
}

SECURE_MALLOC_API bool secure_owns(const void *ptr)
{
    return heap_owns(&state.heap, ptr);
}

SECURE_MALLOC_API void secure_wipe(void *ptr, size_t size)
{
    if (size > 0) {
        wipe(ptr, size);
    }
}

SECURE_MALLOC_API bool secure_equal(const void *a, const void *b, size_t size)
{
    return bytes_equal(a, b, size);
}
