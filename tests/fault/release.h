/* SPDX-License-Identifier: ISC */
/* The parts of fault.release. */
#ifndef SECURE_MALLOC_TESTS_FAULT_RELEASE_H
#define SECURE_MALLOC_TESTS_FAULT_RELEASE_H

#include <stdbool.h>
#include <stddef.h>

/* Of the ranges that are released from, and their middle. */
enum { PAGES = 12, FROM = 3, COUNT = 5 };

/* What the kernel, or a sandbox, lacks. */
struct way {
    const char *name;
    bool no_DONTNEED_LOCKED, no_PROCMAP_QUERY, no_mincore;
    bool after_first_use;
};

/* Makes it so. The tests below take one as their context. */
void release_go(const struct way *way);

/* PAGES pages, and each filled with its number + 1. */
char *release_map(int protection, int flags);
char *release_own_memory(void);
void release_fill(char *start);
char *release_middle(char *start);
bool release_page_is(const char *start, size_t page, char byte);

/* What is refused, without having changed anything. */
void release_wrong_ranges(void *context);
void release_wrong_protection(void *context);
void release_wrong_mappings(void *context);
void release_what_is_ours(void *context);

#endif
