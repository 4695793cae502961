/* SPDX-License-Identifier: ISC */
/* libsodium: pages of its own for each buffer, with guards and a canary; wipes in sodium_free. */
#include <sodium.h>

#include "bench/allocator.h"

static const char *start(void)
{
    return sodium_init() < 0 ? "sodium_init failed" : NULL;
}

static void release(void *pointer, size_t size)
{
    (void)size;
    sodium_free(pointer);
}

const struct bench_allocator bench_allocator = {
    .name = "libsodium",
    .start = start,
    .allocate = sodium_malloc,
    .release = release,
};
