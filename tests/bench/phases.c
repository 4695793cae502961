/* SPDX-License-Identifier: ISC */
/* Workload 8: a program whose buffers are small, then big, then small again, then mostly gone. What
 * an allocator cannot use again, it keeps. */
#include "bench/bench.h"
#include "bench/memory.h"

enum { LIVE = 10000, ROUNDS = 4, KEPT_IN_A_HUNDRED = 5 };

struct phase {
    const struct bench *bench;
    struct bench_random random;
    void **pointers;
    uint32_t held[LIVE];
    uint32_t sizes[BENCH_SIZES];
};

static void replace(struct phase *phase, size_t i)
{
    const uint32_t size = phase->sizes[bench_random_next(&phase->random) % BENCH_SIZES];
    if (phase->held[i] != 0) {
        phase->bench->allocator->release(phase->pointers[i], phase->held[i]);
    }
    phase->pointers[i] = bench_allocate(phase->bench, size);
    phase->held[i] = size;
    bench_touch(phase->pointers[i], size);
}

/* Every buffer is replaced by one of the phase's sizes, in order of place, then some at random. */
static double live_through(struct phase *phase, double least, double most)
{
    bench_sizes(phase->sizes, least, most, &phase->random);
    for (size_t i = 0; i < LIVE; i++) {
        replace(phase, i);
    }
    for (size_t i = 0; i < (size_t)ROUNDS * LIVE; i++) {
        replace(phase, bench_random_next(&phase->random) % LIVE);
    }
    return bench_memory().resident;
}

static double free_most(struct phase *phase)
{
    for (size_t i = 0; i < LIVE; i++) {
        if (bench_random_next(&phase->random) % 100 >= KEPT_IN_A_HUNDRED) {
            phase->bench->allocator->release(phase->pointers[i], phase->held[i]);
        }
    }
    return bench_memory().resident;
}

void bench_phases(const struct bench *bench)
{
    static struct phase phase;
    if (bench->allocator->is_null) {
        bench_cannot("it has one buffer");
    }
    phase.bench = bench;
    phase.random.state = 1;
    phase.pointers = bench_table(LIVE);
    for (size_t i = 0; i < LIVE; i++) {
        phase.held[i] = 0;
    }
    for (size_t i = 0; i < BENCH_SIZES; i++) {
        phase.sizes[i] = 1;
    }
    bench->allocator->release(bench_allocate(bench, 1), 1);
    const double before = bench_memory().resident;
    const double small = live_through(&phase, 16, 128) - before;
    const double big = live_through(&phase, 512, 4096) - before;
    const double again = live_through(&phase, 16, 128) - before;
    const double few = free_most(&phase) - before;
    bench_say("small_rss_bytes", small);
    bench_say("big_rss_bytes", big);
    bench_say("again_rss_bytes", again);
    bench_say("few_rss_bytes", few);
    if (small > 0) { /* a pool of a fixed size does not grow */
        bench_say("big_to_small", big / small);
        bench_say("again_to_small", again / small);
        bench_say("few_to_small", few / small);
    }
}
