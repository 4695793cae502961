/* SPDX-License-Identifier: ISC */
/* Botan's locking allocator, as its secure_vector uses it: a pool of 512 KiB for buffers of 16 to
 * 256 bytes, and calloc for all that the pool does not serve. Wipes in its free. */
#include <botan/mem_ops.h>
#include <exception>

#include "bench/allocator.h"

static void *allocate(size_t size)
{
    try {
        return Botan::allocate_memory(size, 1);
    } catch (const std::exception &) {
        return nullptr;
    }
}

static void release(void *pointer, size_t size)
{
    Botan::deallocate_memory(pointer, size, 1);
}

const struct bench_allocator bench_allocator = {
    "botan", nullptr, allocate, release, nullptr, false,
};
