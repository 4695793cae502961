/* SPDX-License-Identifier: ISC */
/*
 * The fast path of all sizes but keys up to 120 bytes, compiled twice: for every processor, and for
 * those that have registers of 32 bytes. Stores are most of the work with long slots: of two
 * stores' worth of time that a 1,024-byte buffer takes to wipe, one is saved.
 */
#ifndef SECURE_MALLOC_HEAP_SLOT_WIDE_H
#define SECURE_MALLOC_HEAP_SLOT_WIDE_H

#include "heap/slot.h"

/* The best of them for this processor. */
const struct slot_wide *slot_wide_best(void);

extern const struct slot_wide slot_wide_any;  /* for every processor */
extern const struct slot_wide slot_wide_avx2; /* where the build has it */

#endif
