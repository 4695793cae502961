/* SPDX-License-Identifier: ISC */
/* mimalloc with explicit_bzero before free: neither locked nor checked. */
#include <mimalloc.h>
#include <string.h>

#include "bench/allocator.h"

static void release(void *pointer, size_t size)
{
    explicit_bzero(pointer, size);
    mi_free(pointer);
}

static void purge(void)
{
    mi_collect(true);
}

const struct bench_allocator bench_allocator = {
    .name = "mimalloc",
    .allocate = mi_malloc,
    .release = release,
    .purge = purge,
};
