/* SPDX-License-Identifier: ISC */
/*
 * One measurement of one allocator, in a process of its own. A workload prints what it has found,
 * one `metric value` a line; measure.sh adds who and which round it was.
 */
#ifndef SECURE_MALLOC_TESTS_BENCH_BENCH_H
#define SECURE_MALLOC_TESTS_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/allocator.h"

#define BENCH_NORETURN __attribute__((noreturn))

struct bench {
    const struct bench_allocator *allocator;
    double seconds;      /* how long a measurement of time may take */
    uint64_t operations; /* not 0: exactly so many, and no time is measured */
};

/* ---- workloads; `number` is what the command line says after the name ---- */

void bench_pairs(const struct bench *bench, uint64_t size, uint64_t live);
void bench_replace(const struct bench *bench, uint64_t threads);
void bench_latency(const struct bench *bench);
void bench_handoff(const struct bench *bench);
void bench_burst(const struct bench *bench);
void bench_keys(const struct bench *bench, uint64_t count);
void bench_phases(const struct bench *bench);

/* ---- results ---- */

void bench_say(const char *metric, double value);

/* "cannot REASON", and the end: what an allocator cannot do is a result too. */
BENCH_NORETURN void bench_cannot(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- what every workload does ---- */

/* ": Cannot allocate memory" and so on; nothing where an allocator leaves errno alone. */
const char *bench_errno(void);

BENCH_NORETURN __attribute__((cold)) void bench_out_of_memory(size_t size);

/* Ends with bench_cannot where malloc would return NULL. Inline, as the next: what a caller costs
 * is no part of what is measured. */
static inline void *bench_allocate(const struct bench *bench, size_t size)
{
    void *pointer = bench->allocator->allocate(size);
    if (__builtin_expect(pointer == NULL, 0)) {
        bench_out_of_memory(size);
    }
    return pointer;
}

enum { BENCH_PAGE = 4096 };

/* Writes a byte in every page of a buffer, and its last one. */
static inline void bench_touch(void *pointer, size_t size)
{
    volatile char *bytes = pointer;
    bytes[0] = 1;
    for (size_t at = BENCH_PAGE; at < size; at += BENCH_PAGE) {
        bytes[at] = 1;
    }
    bytes[size - 1] = 1;
}

/* Does `count` operations. */
typedef void bench_work(void *context, uint64_t count);

/* Nanoseconds an operation: the median of many short batches, after one to get warm. Where the
 * number of operations was given, does those, and returns 0. */
double bench_time(const struct bench *bench, bench_work *work, void *context);

double bench_now(void); /* nanoseconds */

int bench_compare_doubles(const void *a, const void *b);

/* Says which part of these live buffers the kernel has locked, in percent. */
void bench_say_locked(void *const *pointers, size_t count);

/* ---- the command line ---- */

bool bench_read_number(const char *text, uint64_t *value);
bool bench_read_seconds(const char *text, double *value);

/* ---- random numbers and sizes: the same for every allocator and every run ---- */

struct bench_random {
    uint64_t state;
};

uint64_t bench_random_next(struct bench_random *random);

enum { BENCH_SIZES = 4096 }; /* a power of two */

/* Fills with sizes from least to most, their logarithms evenly distributed. */
void bench_sizes(uint32_t sizes[BENCH_SIZES], double least, double most,
                 struct bench_random *random);

#endif
