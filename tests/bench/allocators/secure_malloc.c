/* SPDX-License-Identifier: ISC */
/* This library, as it is shipped: locked, canaries, every check on. */
#include <secure_malloc.h>

#include "bench/allocator.h"

static void release(void *pointer, size_t size)
{
    (void)size;
    secure_free(pointer);
}

static void purge(void)
{
    (void)secure_purge();
}

const struct bench_allocator bench_allocator = {
    .name = "secure_malloc",
    .allocate = secure_malloc,
    .release = release,
    .purge = purge,
};
