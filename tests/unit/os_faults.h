/* SPDX-License-Identifier: ISC */
/*
 * An operating system that fails when it is told to. Each function that is listed in
 * OS_FAULTS_WRAPS (tests/unit/layers.cmake) goes through here; but for what is asked for below, it
 * is the real one.
 */
#ifndef SECURE_MALLOC_TESTS_UNIT_OS_FAULTS_H
#define SECURE_MALLOC_TESTS_UNIT_OS_FAULTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

/* What a call can do, in the order of os.h. */
enum os_call {
    CALL_RESERVE,
    CALL_OPEN_BOOKKEEPING,
    CALL_OPEN,
    CALL_CLOSE,
    CALL_PROTECT,
    CALL_ADVISE,
    CALL_LOCK,
    CALL_RELOCK,
    CALL_PURGE,
    CALL_GUARD,
    CALL_POPULATE,
    CALL_LOCK_PROCESS,
    CALLS
};

struct os_faults {
    /* Calls that can fail, counted from 1; the one with this number does, and with `on` all after
     * it as well. 0: none. */
    unsigned long fail_at;
    bool on;
    int error;                   /* 0: -ENOMEM */
    uint32_t only;               /* 1 << enum os_call; 0: any of them fails */
    _Atomic unsigned long calls; /* so far, of those that could fail */
    _Atomic unsigned long failed;
    _Atomic unsigned long count[CALLS]; /* all calls, failed or not */
    _Atomic size_t reserved;            /* bytes of address space, less what was given back */

    bool no_guards;
    bool no_populate;
    uint64_t lock_limit; /* what os_lock_limit says; 0: the truth */
    /* The limit of the user who runs this is too small: locks are not taken, but said to be. What
     * these tests look at is how the library keeps its books. */
    bool pretend_locks;
    bool pretend_process_lock; /* whatever the limit is */

    /* The result of each locked range of a purge that is really made: fewer than
     * OS_PURGE_RANGES_MAX of them are changed. */
    bool change_results;
    enum os_purge_result result;
    unsigned change_every;               /* the result of every so-manieth range; 0: of all */
    void (*during_purge)(void *context); /* before the kernel has it */
    void *during_purge_context;
    void (*during_open_bookkeeping)(void *context);
    bool look_at_closed; /* pages that are closed must have been wiped; not for runs with guards */
    _Atomic unsigned long unwiped; /* ranges that were purged, or closed, and were not */
    _Atomic size_t largest_open;   /* bytes, of the os_pages_open calls since the reset */
};

extern struct os_faults os_faults;

/* No faults. pretend_locks stays as it is. */
void os_faults_reset(void);

void os_faults_fail(unsigned long at, bool on);

#endif
