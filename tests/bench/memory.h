/* SPDX-License-Identifier: ISC */
/* What the process takes of the machine's memory, by the kernel's word. */
#ifndef SECURE_MALLOC_TESTS_BENCH_MEMORY_H
#define SECURE_MALLOC_TESTS_BENCH_MEMORY_H

#include <stdint.h>

struct bench_memory {
    double resident, locked; /* bytes; resident without the pages of files */
    double mappings;
    double faults; /* so far */
};

struct bench_memory bench_memory(void);

/* A table of pointers whose own pages are there before anything is measured. */
void **bench_table(uint64_t count);

#endif
