/* SPDX-License-Identifier: ISC */
/*
 * The one global of the library, and the order in which it comes to life.
 *
 * Nothing needs to be initialised: what finds the heap empty goes a slow way, and that begins with
 * state_ready(). So the library works before its constructor has run (another library's constructor
 * may allocate), and it has no teardown: other destructors may still free.
 */
#ifndef SECURE_MALLOC_API_STATE_H
#define SECURE_MALLOC_API_STATE_H

#include <stdatomic.h>
#include <stdbool.h>

#include <secure_malloc.h>

#include "base/mutex.h"
#include "heap/heap.h"

struct state {
    struct heap heap;
    struct mutex mutex;        /* guards what follows */
    _Atomic bool ready;        /* the heap may be used; set once, read without the mutex */
    _Atomic bool process_lock; /* mlockall is in force */
    bool thread_key_made;
    bool environment_told;
    struct secure_options chosen;   /* by the program */
    struct secure_options in_force; /* after the environment */
};

extern struct state state;

/* Initialises with the defaults, or what secure_init said. 0 or -errno. */
int state_become_ready(void);

INLINE int state_ready(void)
{
    bool ready = atomic_load_explicit(&state.ready, memory_order_acquire);
    return LIKELY(ready) ? 0 : state_become_ready();
}

/* For secure_init. */
int state_init(const struct secure_options *asked);

/* mlockall, and the lock taken off again where nothing is in use. 0 or -errno. */
int state_lock_process(void);

/* Registers what must be registered once, early: the first ones of a process cost no malloc. */
void state_register(void);

/* errno = -error. For all of api/. */
int fail(int error);

#endif
