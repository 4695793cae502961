/* SPDX-License-Identifier: ISC */
/*
 * What the benchmark asks of an allocator. Each is a shared object of a few lines, loaded at run
 * time, that exports one `bench_allocator`; adding a peer is adding such a file to allocators/.
 */
#ifndef SECURE_MALLOC_TESTS_BENCH_ALLOCATOR_H
#define SECURE_MALLOC_TESTS_BENCH_ALLOCATOR_H

#include <stdbool.h>
#include <stddef.h>

struct bench_allocator {
    const char *name;
    const char *(*start)(void); /* NULL, or why it cannot be used here; may be missing */
    void *(*allocate)(size_t size);
    void (*release)(void *pointer, size_t size); /* wipes, and gives back */
    void (*purge)(void);                         /* all free pages back now; may be missing */
    bool is_null; /* hands the same memory out over and over: the floor, no allocator */
};

#ifdef __cplusplus
extern "C" __attribute__((visibility("default"))) const struct bench_allocator bench_allocator;
#else
extern __attribute__((visibility("default"))) const struct bench_allocator bench_allocator;
#endif

#endif
