/* SPDX-License-Identifier: ISC */
#include "api/state.h"

#include <errno.h>
#include <stdlib.h>

#include "base/line.h"
#include "base/report.h"
#include "heap/slot_wide.h"
#include "os/os.h"
#include "policy/options.h"

struct state state = {.mutex = MUTEX_INIT, .heap.wide = &slot_wide_any};

int fail(int error)
{
    errno = -error;
    return -1;
}

/* ---- options ---- */

static void tell_ignored(const char *entry, size_t size, const char *reason, void *context)
{
    struct line line;
    (void)context;
    if (state.environment_told) {
        return; /* by an attempt to start that failed */
    }
    line_start(&line);
    line_text(&line, "SECURE_MALLOC_OPTIONS: ignored \"");
    line_bytes(&line, entry, size);
    line_text(&line, "\": ");
    line_text(&line, reason);
    line_write(&line);
}

static void read_environment(struct secure_options *options)
{
    const char *text = secure_getenv("SECURE_MALLOC_OPTIONS");
    if (text != NULL) {
        options_read(options, text, tell_ignored, NULL);
        state.environment_told = true;
    }
}

static void call_report(const char *what, const void *pointer, size_t size, void *context)
{
    struct secure_report report = {.what = what, .pointer = pointer, .size = size};
    (void)context;
    state.in_force.report(&report, state.in_force.report_context);
}

/* ---- the heap ---- */

_Static_assert((int)SECURE_FORK_KEEP == (int)OS_FORK_KEEP &&
                   (int)SECURE_FORK_WIPE == (int)OS_FORK_WIPE &&
                   (int)SECURE_FORK_DROP == (int)OS_FORK_DROP,
               "on_fork is handed down as it is");

static void make_heap(const struct secure_options *options)
{
    struct heap_config config = {
        .pages =
            {
                .page_size = os_page_size(),
                .fork = (enum os_fork)options->on_fork,
                .best_effort = options->on_lock_failure == SECURE_LOCK_BEST_EFFORT,
                .lock_limit = options->lock_limit,
                .purge_limit = options->purge_limit,
            },
        .canary = options->canary != 0,
        .check_free = options->check_free != 0,
    };
    heap_init(&state.heap, &config);
}

static int lock_process(void)
{
    int error = os_process_lock();
    if (error != 0) {
        return error;
    }
    atomic_store_explicit(&state.process_lock, true, memory_order_relaxed);
    pages_unlock_unused(&state.heap.pages);
    return 0;
}

/* The process, or a refusal that best effort forgives. */
static int lock_process_as_chosen(const struct secure_options *options)
{
    int error = options->lock == SECURE_LOCK_PROCESS ? lock_process() : 0;
    if (error == 0) {
        return 0;
    }
    counter_add_shared(&state.heap.pages.counters.lock_failures, 1);
    if (options->on_lock_failure != SECURE_LOCK_BEST_EFFORT) {
        return error;
    }
    report_notice("the process could not be locked; it runs unlocked "
                  "(on_lock_failure=best-effort)");
    return 0;
}

/* Under the mutex. The process lock comes last, since it cannot be taken back: the program may have
 * locked pages of its own. On failure the heap is empty again, for a second try. */
static int start(const struct secure_options *options)
{
    struct secure_options in_force = *options;
    state_register();
    read_environment(&in_force);
    make_heap(&in_force);
    int error = pages_reserve(&state.heap.pages, in_force.reserve);
    if (error == 0) {
        error = lock_process_as_chosen(&in_force);
    }
    if (error != 0) {
        pages_drop(&state.heap.pages, false);
        return error;
    }
    state.chosen = *options;
    state.in_force = in_force;
    if (in_force.report != NULL) {
        report_set_handler(call_report, NULL);
    }
    atomic_store_explicit(&state.ready, true, memory_order_release);
    return 0;
}

int state_become_ready(void)
{
    struct secure_options options;
    options_default(&options);
    mutex_lock(&state.mutex);
    int error = 0;
    if (!atomic_load_explicit(&state.ready, memory_order_relaxed)) {
        error = start(&options);
    }
    mutex_unlock(&state.mutex);
    return error;
}

int state_init(const struct secure_options *asked)
{
    struct secure_options options;
    options_default(&options);
    int error = asked != NULL ? options_copy(&options, asked) : 0;
    if (error != 0) {
        return error;
    }
    mutex_lock(&state.mutex);
    if (!atomic_load_explicit(&state.ready, memory_order_relaxed)) {
        error = start(&options);
    } else if (!options_same(&options, &state.chosen) && !options_same(&options, &state.in_force)) {
        error = -EALREADY;
    }
    mutex_unlock(&state.mutex);
    return error;
}

int state_lock_process(void)
{
    int error = state_ready();
    if (error != 0) {
        return error;
    }
    mutex_lock(&state.mutex);
    error = lock_process();
    if (error != 0) {
        counter_add_shared(&state.heap.pages.counters.lock_failures, 1);
    }
    mutex_unlock(&state.mutex);
    return error;
}
