/* SPDX-License-Identifier: ISC */
/*
 * What the benchmark asks of an allocator. Each is a shared object of a few lines, loaded at run
 * time, that exports one `bench_allocator`. To add one: such a file in allocators/, and a line in
 * CMakeLists.txt, `allocator(NAME FILE LIBRARY)`, or `peer(...)` if its library may be missing.
 * That is all it takes to be measured; for a name in the tables of a published run there are also
 * its Debian package (missing_allocators in tests/lib.sh), its version (facts.sh), its place and
 * colour (measure.sh, plots.awk), and what it promises (BENCHMARKS.md).
 */
#ifndef SECURE_MALLOC_TESTS_BENCH_ALLOCATOR_H
#define SECURE_MALLOC_TESTS_BENCH_ALLOCATOR_H

#include <stdbool.h>
#include <stddef.h>

struct bench_allocator {
    const char *name;
    const char *(*start)(void);     /* NULL, or why it cannot be used here; may be missing */
    void *(*allocate)(size_t size); /* need not be zero */
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
