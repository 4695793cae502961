/* SPDX-License-Identifier: ISC */
/*
 * Counters that one party writes and anyone reads. The writer is alone (a thread with its own
 * counter, or whoever holds the mutex that guards it), so a relaxed load and store do: no locked
 * instruction, and no torn read.
 */
#ifndef SECURE_MALLOC_BASE_COUNTER_H
#define SECURE_MALLOC_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/single_threaded.h>

#include "base/attributes.h"

typedef _Atomic uint64_t counter;

INLINE uint64_t counter_read(const counter *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

INLINE void counter_set(counter *value, uint64_t to)
{
    atomic_store_explicit(value, to, memory_order_relaxed);
}

INLINE void counter_add(counter *value, uint64_t more)
{
    counter_set(value, counter_read(value) + more);
}

INLINE void counter_sub(counter *value, uint64_t less)
{
    counter_set(value, counter_read(value) - less);
}

/* For the few counters that have several writers and no mutex. A locked instruction costs as much
 * as twenty others, and a process with one thread has nobody to lock out. */
INLINE void counter_add_shared(counter *value, uint64_t more)
{
    if (__libc_single_threaded) {
        counter_add(value, more);
    } else {
        atomic_fetch_add_explicit(value, more, memory_order_relaxed);
    }
}

#endif
