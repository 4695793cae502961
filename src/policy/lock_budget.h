/* SPDX-License-Identifier: ISC */
/*
 * How much to reserve, open and lock at a time. Pure functions on plain numbers of bytes; a limit
 * of UINT64_MAX is none.
 */
#ifndef SECURE_MALLOC_POLICY_LOCK_BUDGET_H
#define SECURE_MALLOC_POLICY_LOCK_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The limit in force: the option's (0: none) and the kernel's, whichever is less. */
uint64_t lock_budget_limit(uint64_t option, uint64_t kernel);

/* May `more` bytes be locked on top of `locked` under the option's limit (0: none)? */
bool lock_budget_allows(uint64_t option, uint64_t locked, uint64_t more);

/*
 * The size of the next region: 1 MiB, or the limit if that is less (address space that may never be
 * locked is useless, and mlockall(MCL_CURRENT) charges it); double the one before; no more than the
 * limit leaves beside what is reserved, but never less than the first; always enough for `needed`.
 * A multiple of page_size.
 */
size_t lock_budget_region(uint64_t limit, uint64_t reserved, size_t previous, size_t needed,
                          size_t page_size);

/*
 * The step by which a region is opened: the larger of 1/32 of what is open and 1/64 of the limit
 * (256 KiB if there is none); at least a page, and at least `needed`. A multiple of page_size.
 */
size_t lock_budget_step(uint64_t limit, uint64_t open, size_t needed, size_t page_size);

/* All magazines together hold at most 1/16 of the limit. */
uint64_t lock_budget_magazines(uint64_t limit);

#endif
