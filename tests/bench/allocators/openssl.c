/* SPDX-License-Identifier: ISC */
/* OpenSSL's secure heap, of a fixed size; wipes in its free. */
#include <openssl/crypto.h>

#include "bench/allocator.h"

enum { ARENA = 64 * 1024 * 1024, LEAST = 16 };

static const char *start(void)
{
    switch (CRYPTO_secure_malloc_init(ARENA, LEAST)) {
    case 1:
        return NULL;
    case 2:
        return "the arena of 64 MiB could not be locked";
    default:
        return "CRYPTO_secure_malloc_init failed";
    }
}

static void *allocate(size_t size)
{
    return OPENSSL_secure_malloc(size);
}

static void release(void *pointer, size_t size)
{
    (void)size;
    OPENSSL_secure_free(pointer);
}

const struct bench_allocator bench_allocator = {
    .name = "openssl",
    .start = start,
    .allocate = allocate,
    .release = release,
};
