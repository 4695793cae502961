/* SPDX-License-Identifier: ISC */
/* glibc's malloc with explicit_bzero before free: neither locked nor checked. What all the others
 * are compared with. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "bench/allocator.h"

static void release(void *pointer, size_t size)
{
    explicit_bzero(pointer, size);
    free(pointer);
}

static void purge(void)
{
    (void)malloc_trim(0);
}

const struct bench_allocator bench_allocator = {
    .name = "plain",
    .allocate = malloc,
    .release = release,
    .purge = purge,
};
