/* SPDX-License-Identifier: ISC */
/* Workloads 5 and 6: many small buffers at once, then none: what each costs, and what comes
 * back. */
#include <string.h>

#include "bench/bench.h"
#include "bench/memory.h"

enum { BURST = 100000, BURST_SIZE = 64, KEY_SIZE = 32, LOOK_EVERY = 1024 };

/* Some peers take longer for each buffer the more there are. */
static const double PATIENCE_NS = 20e9;

static void look_at_clock(double since, uint64_t done, uint64_t count)
{
    if (bench_now() - since > PATIENCE_NS) {
        bench_cannot("after 20 s it was at %llu of %llu", (unsigned long long)done,
                     (unsigned long long)count);
    }
}

/* Nanoseconds for each. */
static double take(const struct bench *bench, void **table, uint64_t count, size_t size)
{
    const double before = bench_now();
    for (uint64_t i = 0; i < count; i++) {
        table[i] = bench->allocator->allocate(size);
        if (table[i] == NULL) {
            bench_cannot("no memory after %llu%s", (unsigned long long)i, bench_errno());
        }
        memset(table[i], 1, size);
        if (i % LOOK_EVERY == 0) {
            look_at_clock(before, i, count);
        }
    }
    return (bench_now() - before) / (double)count;
}

static double give(const struct bench *bench, void **table, uint64_t count, size_t size)
{
    const double before = bench_now();
    for (uint64_t i = 0; i < count; i++) {
        bench->allocator->release(table[i], size);
        if (i % LOOK_EVERY == 0) {
            look_at_clock(before, i, count);
        }
    }
    return (bench_now() - before) / (double)count;
}

/* What an allocator sets up at its first use is no part of a burst. */
static void start(const struct bench *bench, size_t size)
{
    if (bench->allocator->is_null) {
        bench_cannot("it has one buffer");
    }
    bench->allocator->release(bench_allocate(bench, size), size);
    (void)bench_memory();
}

static double part_back(double before, double peak, double now)
{
    return peak > before ? 100.0 * (peak - now) / (peak - before) : 0;
}

void bench_burst(const struct bench *bench)
{
    void **table = bench_table(BURST);
    start(bench, BURST_SIZE);
    const struct bench_memory before = bench_memory();
    const double take_ns = take(bench, table, BURST, BURST_SIZE);
    const struct bench_memory peak = bench_memory();
    const double give_ns = give(bench, table, BURST, BURST_SIZE);
    const struct bench_memory after = bench_memory();
    bench_say("alloc_ns", take_ns);
    bench_say("free_ns", give_ns);
    bench_say("peak_rss_bytes", peak.resident - before.resident);
    bench_say("peak_locked_bytes", peak.locked - before.locked);
    bench_say("peak_vmas", peak.mappings - before.mappings);
    bench_say("peak_faults", peak.faults - before.faults);
    bench_say("after_locked_bytes", after.locked - before.locked);
    bench_say("after_vmas", after.mappings - before.mappings);
    bench_say("back_percent", part_back(before.resident, peak.resident, after.resident));
    if (bench->allocator->purge != NULL) {
        bench->allocator->purge();
        const struct bench_memory purged = bench_memory();
        bench_say("back_purged_percent",
                  part_back(before.resident, peak.resident, purged.resident));
    }
}

void bench_keys(const struct bench *bench, uint64_t count)
{
    void **table = bench_table(count);
    const double n = (double)count;
    start(bench, KEY_SIZE);
    const struct bench_memory before = bench_memory();
    const double take_ns = take(bench, table, count, KEY_SIZE);
    const struct bench_memory peak = bench_memory();
    const double give_ns = give(bench, table, count, KEY_SIZE);
    bench_say("ns", take_ns + give_ns);
    bench_say("alloc_ns", take_ns);
    bench_say("free_ns", give_ns);
    bench_say("locked_bytes_a_key", (peak.locked - before.locked) / n);
    bench_say("resident_bytes_a_key", (peak.resident - before.resident) / n);
    bench_say("vmas", peak.mappings - before.mappings);
}
