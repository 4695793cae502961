/* SPDX-License-Identifier: ISC */
/* libgcrypt's secure memory, a pool of a fixed size; wipes in gcry_free. */
#include <gcrypt.h>

#include "bench/allocator.h"

enum { POOL = 64 * 1024 * 1024 };

static const char *start(void)
{
    if (gcry_check_version(NULL) == NULL) {
        return "gcry_check_version failed";
    }
    if (gcry_control(GCRYCTL_INIT_SECMEM, POOL, 0) != 0) {
        return "the pool of 64 MiB could not be made";
    }
    (void)gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    return NULL;
}

static void release(void *pointer, size_t size)
{
    (void)size;
    gcry_free(pointer);
}

const struct bench_allocator bench_allocator = {
    .name = "libgcrypt",
    .start = start,
    .allocate = gcry_malloc_secure,
    .release = release,
};
