/* SPDX-License-Identifier: ISC */
/* Workload 1: one buffer is allocated, touched and freed, over and over, while others of its size
 * stay. */
#include "bench/bench.h"

enum { LIVE_MAX = 64 };

struct pairs {
    const struct bench *bench;
    size_t size;
};

static void work(void *context, uint64_t count)
{
    const struct pairs *pairs = context;
    const struct bench_allocator *allocator = pairs->bench->allocator;
    const size_t size = pairs->size;
    for (uint64_t i = 0; i < count; i++) {
        void *pointer = bench_allocate(pairs->bench, size);
        bench_touch(pointer, size);
        allocator->release(pointer, size);
    }
}

void bench_pairs(const struct bench *bench, uint64_t size, uint64_t live)
{
    struct pairs pairs = {.bench = bench, .size = size};
    for (uint64_t i = 0; i < live && i < LIVE_MAX; i++) {
        bench_touch(bench_allocate(bench, size), size);
    }
    bench_say("ns", bench_time(bench, work, &pairs));
    if (!bench->allocator->is_null && bench->operations == 0) {
        void *pointer = bench_allocate(bench, size);
        bench_touch(pointer, size);
        bench_say_locked(&pointer, 1);
    }
}
