/* SPDX-License-Identifier: ISC */
/* Workloads 2, 3 and 7: 1,000 live buffers of 16 to 1024 bytes in each of some threads, one of them
 * replaced at random; and the time that one such step takes. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

enum { LIVE = 1000, THREADS_MAX = 64, LATENCIES = 80000, WARM_STEPS = 40000 };

struct worker {
    const struct bench *bench;
    struct bench_random random;
    void *pointers[LIVE];
    uint32_t held[LIVE];
    uint32_t sizes[BENCH_SIZES];
    pthread_barrier_t *barrier; /* of all threads, and the one that measures */
    const uint64_t *count;      /* operations, until the barrier is met again; 0: the end */
};

static void fill(struct worker *worker)
{
    bench_sizes(worker->sizes, 16, 1024, &worker->random);
    for (size_t i = 0; i < LIVE; i++) {
        worker->held[i] = worker->sizes[i % BENCH_SIZES];
        worker->pointers[i] = bench_allocate(worker->bench, worker->held[i]);
        bench_touch(worker->pointers[i], worker->held[i]);
    }
}

static inline void replace(struct worker *worker)
{
    const uint64_t random = bench_random_next(&worker->random);
    const size_t i = (size_t)((random >> 32) * LIVE >> 32);
    const uint32_t size = worker->sizes[random % BENCH_SIZES];
    worker->bench->allocator->release(worker->pointers[i], worker->held[i]);
    worker->pointers[i] = bench_allocate(worker->bench, size);
    worker->held[i] = size;
    bench_touch(worker->pointers[i], size);
}

static void work_alone(void *context, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        replace(context);
    }
}

/* ---- threads ---- */

struct team {
    pthread_barrier_t barrier;
    uint64_t count;
};

static void *run(void *context)
{
    struct worker *worker = context;
    fill(worker);
    for (;;) {
        (void)pthread_barrier_wait(worker->barrier);
        const uint64_t count = *worker->count;
        work_alone(worker, count);
        (void)pthread_barrier_wait(worker->barrier);
        if (count == 0) {
            return NULL;
        }
    }
}

static void work_together(void *context, uint64_t count)
{
    struct team *team = context;
    team->count = count;
    (void)pthread_barrier_wait(&team->barrier);
    (void)pthread_barrier_wait(&team->barrier);
}

static double time_together(const struct bench *bench, struct worker *workers, size_t threads)
{
    struct team team;
    pthread_t ids[THREADS_MAX];
    (void)pthread_barrier_init(&team.barrier, NULL, (unsigned)threads + 1);
    for (size_t i = 0; i < threads; i++) {
        workers[i].barrier = &team.barrier;
        workers[i].count = &team.count;
        if (pthread_create(&ids[i], NULL, run, &workers[i]) != 0) {
            bench_cannot("no thread %zu", i + 1);
        }
    }
    const double ns = bench_time(bench, work_together, &team);
    work_together(&team, 0);
    for (size_t i = 0; i < threads; i++) {
        (void)pthread_join(ids[i], NULL);
    }
    return ns;
}

void bench_replace(const struct bench *bench, uint64_t threads)
{
    static struct worker workers[THREADS_MAX];
    if (threads < 1 || threads > THREADS_MAX) {
        bench_cannot("1 to %d threads, not %llu", THREADS_MAX, (unsigned long long)threads);
    }
    for (size_t i = 0; i < threads; i++) {
        workers[i].bench = bench;
        workers[i].random.state = i + 1;
    }
    double ns = 0;
    if (threads == 1) {
        fill(&workers[0]);
        ns = bench_time(bench, work_alone, &workers[0]);
    } else {
        ns = time_together(bench, workers, threads) / (double)threads;
    }
    bench_say("ns", ns); /* of all threads together, an operation */
    if (!bench->allocator->is_null && bench->operations == 0) {
        bench_say_locked(workers[0].pointers, LIVE);
    }
}

/* ---- one by one ---- */

void bench_latency(const struct bench *bench)
{
    static struct worker worker;
    static double times[LATENCIES];
    static const struct {
        const char *name;
        double part;
    } at[] = {{"p50_ns", 0.5}, {"p99_ns", 0.99}, {"p99.9_ns", 0.999}, {"p99.99_ns", 0.9999}};
    worker.bench = bench;
    worker.random.state = 1;
    fill(&worker);
    memset(times, 1, sizeof(times)); /* or one step in 512 pays for a page of it */
    work_alone(&worker, WARM_STEPS);
    double before = bench_now();
    for (size_t i = 0; i < LATENCIES; i++) {
        replace(&worker);
        const double after = bench_now();
        times[i] = after - before;
        before = after;
    }
    qsort(times, LATENCIES, sizeof(times[0]), bench_compare_doubles);
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        bench_say(at[i].name, times[(size_t)(at[i].part * LATENCIES)]);
    }
    bench_say("max_ns", times[LATENCIES - 1]);
}
