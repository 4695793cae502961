/* SPDX-License-Identifier: ISC */
/*
 * Instances of the pages and the heap layer of a test's own, and their books checked against each
 * other and against what the kernel says.
 */
#ifndef SECURE_MALLOC_TESTS_UNIT_LAYER_H
#define SECURE_MALLOC_TESTS_UNIT_LAYER_H

#include "heap/heap.h"
#include "pages/pages.h"
#include "support/cmocka.h"
#include "unit/os_faults.h"

/* For cmocka_run_group_tests: where the user may not lock enough, locks are pretended. */
int layer_setup(void **state);

/* The group's setup, and the run; for main. */
#define layer_run(tests) cmocka_run_group_tests((tests), layer_setup, NULL)

/* What the api would ask for, but for what a test changes. */
struct pages_config layer_pages_config(void);
struct heap_config layer_heap_config(void);

/* A new instance; faults are off. */
struct pages *layer_pages(const struct pages_config *config);
struct heap *layer_heap(const struct heap_config *config);

/* The end of one: all of its data unlocked and gone. The calling thread has no cache afterwards. */
void layer_end_pages(struct pages *pages);
void layer_end_heap(struct heap *heap);

/* Validates, counts anew what the counters say, and compares with the kernel. What does not hold is
 * told on stderr and ends the process, so these may be used in a forked child too. */
void layer_check_pages(struct pages *pages);
void layer_check_heap(struct heap *heap);

/* As layer_check_pages without the kernel, which takes a while to ask. */
void layer_check_books(struct pages *pages);

/* Bytes of the instance's data that are readable and writable, but not locked. */
uint64_t layer_open_unlocked(const struct pages *pages);

/* Mappings that the instance's data takes. */
unsigned long layer_mappings(const struct pages *pages);

/* As pages_take and pages_take_large, for who does not ask how many of the pages are cold. */
int layer_take(struct pages *pages, size_t count, struct run *run);
int layer_take_large(struct pages *pages, size_t count, size_t alignment, struct run *run);

struct region *layer_region(struct pages *pages, enum region_kind kind); /* the newest */

/* The heap's numbers as heap_count says, and what they must add up to. */
struct heap_numbers layer_numbers(struct heap *heap);

/* Runs body(context) in a thread, to its end. */
void layer_in_thread(void (*body)(void *context), void *context);

#endif
