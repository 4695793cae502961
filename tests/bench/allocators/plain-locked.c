/* SPDX-License-Identifier: ISC */
/* As plain, in a process that has locked all of itself. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/allocator.h"

static const char *start(void)
{
    return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0 ? NULL : strerror(errno);
}

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
    .name = "plain-locked",
    .start = start,
    .allocate = malloc,
    .release = release,
    .purge = purge,
};
