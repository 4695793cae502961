/* SPDX-License-Identifier: ISC */
/* The parts of api.contract. */
#ifndef SECURE_MALLOC_TESTS_API_CONTRACT_H
#define SECURE_MALLOC_TESTS_API_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>

/* Each runs its tests, and returns how many failed. */
int contract_allocate(void);
int contract_guarded(void);
int contract_ask(void);

bool is_filled(const void *from, size_t size, unsigned char byte);

/* A size of which the compiler knows nothing: it warns of those that can never be had. */
size_t unknown_size(size_t size);

#endif
