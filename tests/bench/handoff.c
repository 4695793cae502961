/* SPDX-License-Identifier: ISC */
/* Workload 4: one thread allocates buffers of 64 bytes, another frees them. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "bench/bench.h"

enum { SIZE = 64, RING = 1024, LINE = 64 };

/* A ring with one producer and one consumer. Each side looks at the other's count only when it
 * must. */
struct handoff {
    const struct bench *bench;
    pthread_barrier_t barrier;
    uint64_t count;
    _Alignas(LINE) _Atomic uint64_t given;
    _Alignas(LINE) _Atomic uint64_t taken;
    _Alignas(LINE) void *ring[RING];
};

static uint64_t wait_for_change(const _Atomic uint64_t *value, uint64_t from)
{
    uint64_t now = atomic_load_explicit(value, memory_order_acquire);
    for (unsigned tries = 0; now == from; tries++) {
        if (tries > 1000) {
            (void)sched_yield();
        }
        now = atomic_load_explicit(value, memory_order_acquire);
    }
    return now;
}

static void produce(struct handoff *handoff, uint64_t count)
{
    uint64_t at = atomic_load_explicit(&handoff->given, memory_order_relaxed);
    const uint64_t end = at + count;
    uint64_t taken = atomic_load_explicit(&handoff->taken, memory_order_acquire);
    for (; at < end; at++) {
        if (at - taken == RING) {
            taken = wait_for_change(&handoff->taken, taken);
        }
        void *pointer = bench_allocate(handoff->bench, SIZE);
        bench_touch(pointer, SIZE);
        handoff->ring[at % RING] = pointer;
        atomic_store_explicit(&handoff->given, at + 1, memory_order_release);
    }
}

static void consume(struct handoff *handoff, uint64_t count)
{
    uint64_t at = atomic_load_explicit(&handoff->taken, memory_order_relaxed);
    const uint64_t end = at + count;
    uint64_t given = at;
    for (; at < end; at++) {
        if (at == given) {
            given = wait_for_change(&handoff->given, given);
        }
        handoff->bench->allocator->release(handoff->ring[at % RING], SIZE);
        atomic_store_explicit(&handoff->taken, at + 1, memory_order_release);
    }
}

static void *run(void *context)
{
    struct handoff *handoff = context;
    for (;;) {
        (void)pthread_barrier_wait(&handoff->barrier);
        const uint64_t count = handoff->count;
        consume(handoff, count);
        (void)pthread_barrier_wait(&handoff->barrier);
        if (count == 0) {
            return NULL;
        }
    }
}

static void work(void *context, uint64_t count)
{
    struct handoff *handoff = context;
    handoff->count = count;
    (void)pthread_barrier_wait(&handoff->barrier);
    produce(handoff, count);
    (void)pthread_barrier_wait(&handoff->barrier);
}

void bench_handoff(const struct bench *bench)
{
    static struct handoff handoff;
    pthread_t consumer;
    if (bench->allocator->is_null) {
        bench_cannot("it has one buffer");
    }
    handoff.bench = bench;
    (void)pthread_barrier_init(&handoff.barrier, NULL, 2);
    if (pthread_create(&consumer, NULL, run, &handoff) != 0) {
        bench_cannot("no second thread");
    }
    bench_say("ns", bench_time(bench, work, &handoff));
    work(&handoff, 0);
    (void)pthread_join(consumer, NULL);
}
