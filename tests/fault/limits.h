/* SPDX-License-Identifier: ISC */
/* The parts of fault.limits. */
#ifndef SECURE_MALLOC_TESTS_FAULT_LIMITS_H
#define SECURE_MALLOC_TESTS_FAULT_LIMITS_H

#include <secure_malloc.h>
#include <stddef.h>

/* Each runs its tests, and returns how many failed. */
int limits_memlock(void);
int limits_process(void);
int limits_address_space(void);

/* Live 32-byte keys until there is no more room; errno says why. They stay. */
size_t limits_fill(void);

/* Frees what limits_fill took. */
void limits_empty(void);

void limits_init(uint32_t on_lock_failure);

#endif
