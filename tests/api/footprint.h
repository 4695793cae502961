/* SPDX-License-Identifier: ISC */
/* The parts of api.footprint. */
#ifndef SECURE_MALLOC_TESTS_API_FOOTPRINT_H
#define SECURE_MALLOC_TESTS_API_FOOTPRINT_H

/* 100,000 buffers allocated, written, and freed in that order. */
void footprint_burst(void (*at_peak)(void));

void footprint_purges_are_batched(void **state);

/* In the program that is traced: runs the burst and ends it, if that is what it is. */
void footprint_started_again(int count, char **arguments);

#endif
