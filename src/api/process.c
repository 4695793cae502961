/* SPDX-License-Identifier: ISC */
/* What the library asks of the process: to hear of forks, and of threads that end. */
#include <errno.h>
#include <pthread.h>

#include "api/state.h"
#include "base/report.h"
#include "heap/magazine.h"

/* ---- fork ---- */

static void fork_prepare(void)
{
    mutex_lock(&state.mutex);
    if (atomic_load_explicit(&state.ready, memory_order_relaxed)) {
        heap_fork_prepare(&state.heap);
    }
}

static void fork_parent(void)
{
    int saved = errno;
    if (atomic_load_explicit(&state.ready, memory_order_relaxed)) {
        heap_fork_done(&state.heap);
    }
    mutex_unlock(&state.mutex);
    errno = saved;
}

/* Locks are never inherited, MCL_FUTURE neither. */
static void lock_child_process(void)
{
    if (!atomic_load_explicit(&state.process_lock, memory_order_relaxed)) {
        return;
    }
    atomic_store_explicit(&state.process_lock, false, memory_order_relaxed);
    if (os_process_lock() != 0) {
        /* The secrets are locked all the same, range by range. */
        counter_add(&state.heap.pages.counters.relock_failures, 1);
        report_notice("the process could not be locked again after fork");
        return;
    }
    atomic_store_explicit(&state.process_lock, true, memory_order_relaxed);
    pages_unlock_unused(&state.heap.pages);
}

static void fork_child(void)
{
    int saved = errno;
    mutex_unlock(&state.mutex);
    if (atomic_load_explicit(&state.ready, memory_order_relaxed)) {
        if (heap_fork_child(&state.heap) != 0) {
            report_notice("memory could not be locked again after fork: "
                          "the child's secrets are gone, and a use of them faults");
        }
        lock_child_process();
    }
    errno = saved;
}

/* ---- threads ---- */

static pthread_key_t thread_key;

static void thread_exit(void *cache)
{
    heap_thread_exit(&state.heap, cache);
}

/* glibc keeps the values of a thread's first 32 keys in the thread itself. For a later key it calls
 * calloc, and this library calls no malloc: without a destructor the thread gets no cache. */
enum { KEYS_WITHOUT_MALLOC = 32 };

static bool hear_of_exit(struct cache *cache)
{
    return state.thread_key_made && thread_key < KEYS_WITHOUT_MALLOC &&
           pthread_setspecific(thread_key, cache) == 0;
}

/* ---- once, early ---- */

static void register_once(void)
{
    state.thread_key_made = pthread_key_create(&thread_key, thread_exit) == 0;
    cache_set_exit_hook(hear_of_exit);
    (void)pthread_atfork(fork_prepare, fork_parent, fork_child);
}

static pthread_once_t registered = PTHREAD_ONCE_INIT;

void state_register(void)
{
    (void)pthread_once(&registered, register_once);
}

/* Before the program's main takes thread keys. */
__attribute__((constructor)) static void register_early(void)
{
    state_register();
}
