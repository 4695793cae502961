/* SPDX-License-Identifier: ISC */
/* Statistics, the audit, and the report at exit. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "api/state.h"
#include "base/line.h"
#include "policy/options.h"

_Static_assert((int)SECURE_PURGE_LOCKED == (int)OS_PURGE_LOCKED &&
                   (int)SECURE_PURGE_BATCHED == (int)OS_PURGE_BATCHED &&
                   (int)SECURE_PURGE_FALLBACK == (int)OS_PURGE_FALLBACK,
               "purge_way is handed up as it is");

/* The sizes of version 0.1.0: what a caller must at least have room for. */
#define SIZE_THROUGH(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))
#define STATS_SIZE_MIN            SIZE_THROUGH(struct secure_stats, on_lock_failure)
#define AUDIT_SIZE_MIN            SIZE_THROUGH(struct secure_audit, mergeable_live_bytes)

/* Copies what both sides know of a struct that begins with its size; the rest of a larger one is
 * zero. */
static void hand_out(void *to, size_t to_size, const void *from, size_t from_size)
{
    size_t common = to_size < from_size ? to_size : from_size;
    memset((char *)to + sizeof(size_t), 0, to_size - sizeof(size_t));
    memcpy((char *)to + sizeof(size_t), (const char *)from + sizeof(size_t),
           common - sizeof(size_t));
}

static void collect(struct secure_stats *stats)
{
    struct heap *heap = &state.heap;
    const struct pages_counters *counters = &heap->pages.counters;
    struct heap_numbers numbers;
    heap_count(heap, &numbers);
    *stats = (struct secure_stats){
        .live_count = numbers.live_count,
        .live_bytes = numbers.live_bytes,
        .cached_slots = numbers.cached_slots,
        .free_slots = numbers.free_slots,
        .all_slots = numbers.all_slots,
        .locked_bytes = counter_read(&counters->locked),
        .unlocked_bytes = counter_read(&counters->unlocked),
        .dirty_bytes = counter_read(&counters->dirty) + numbers.spare_bytes,
        .reserved_bytes =
            counter_read(&counters->reserved) + counter_read(&heap->pages.bookkeeping.reserved),
        .purges = counter_read(&counters->purges),
        .purged_bytes = counter_read(&counters->purged),
        .purge_failures = counter_read(&counters->purge_failures),
        .lock_failures = counter_read(&counters->lock_failures),
        .relock_failures = counter_read(&counters->relock_failures),
        .forks = atomic_load_explicit(&heap->forks, memory_order_relaxed),
        .purge_way = (uint32_t)heap->pages.purger.way,
        .guards = heap->pages.guards,
        .lock = atomic_load_explicit(&state.process_lock, memory_order_relaxed)
                    ? SECURE_LOCK_PROCESS
                    : SECURE_LOCK_RANGE,
        .on_lock_failure = state.in_force.on_lock_failure,
    };
}

SECURE_MALLOC_API int secure_stats(struct secure_stats *stats)
{
    struct secure_stats collected = {0};
    if (stats == NULL || stats->struct_size < STATS_SIZE_MIN) {
        return fail(-EINVAL);
    }
    /* To look must not start the library: that would settle its options. */
    if (atomic_load_explicit(&state.ready, memory_order_acquire)) {
        collect(&collected);
    }
    hand_out(stats, stats->struct_size, &collected, sizeof(collected));
    return 0;
}

/* ---- the audit ---- */

static int audit_mapping(const struct os_mapping *mapping, void *context)
{
    struct secure_audit *audit = context;
    uint64_t ours = heap_overlap(&state.heap, mapping->start, mapping->end);
    if (ours == 0) {
        return 0;
    }
    uint64_t live = heap_live_bytes_in(&state.heap, mapping->start, mapping->end);
    audit->mappings++;
    audit->locked_bytes += mapping->locked ? ours : 0;
    audit->resident_bytes += mapping->resident;
    audit->swapped_bytes += mapping->swapped;
    audit->unlocked_live_bytes += mapping->locked ? 0 : live;
    audit->dumpable_live_bytes += mapping->dumpable ? live : 0;
    audit->mergeable_live_bytes += mapping->mergeable ? live : 0;
    return 0;
}

SECURE_MALLOC_API int secure_audit(struct secure_audit *audit)
{
    struct secure_audit seen = {0};
    if (audit == NULL || audit->struct_size < AUDIT_SIZE_MIN) {
        return fail(-EINVAL);
    }
    /* Between the kernel's answer and our count no page may be opened: its bytes would look
     * unlocked. */
    bool ready = atomic_load_explicit(&state.ready, memory_order_acquire);
    if (ready) {
        pages_quiesce(&state.heap.pages);
    }
    int error = os_mappings_visit(audit_mapping, &seen);
    if (ready) {
        pages_resume(&state.heap.pages);
    }
    if (error != 0) {
        return fail(error);
    }
    hand_out(audit, audit->struct_size, &seen, sizeof(seen));
    return 0;
}

/* ---- at exit ---- */

static void tell(const char *name, uint64_t value)
{
    struct line line;
    line_start(&line);
    line_text(&line, "stats: ");
    line_text(&line, name);
    line_text(&line, " ");
    line_number(&line, value);
    line_write(&line);
}

static void tell_stats(const struct secure_stats *stats)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"live_count", stats->live_count},
        {"live_bytes", stats->live_bytes},
        {"cached_slots", stats->cached_slots},
        {"free_slots", stats->free_slots},
        {"all_slots", stats->all_slots},
        {"locked_bytes", stats->locked_bytes},
        {"unlocked_bytes", stats->unlocked_bytes},
        {"dirty_bytes", stats->dirty_bytes},
        {"reserved_bytes", stats->reserved_bytes},
        {"purges", stats->purges},
        {"purged_bytes", stats->purged_bytes},
        {"purge_failures", stats->purge_failures},
        {"lock_failures", stats->lock_failures},
        {"relock_failures", stats->relock_failures},
        {"forks", stats->forks},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tell(rows[i].name, rows[i].value);
    }
}

/* A destructor, and not atexit, which calls malloc beyond its first block of functions. */
__attribute__((destructor)) static void report_at_exit(void)
{
    struct secure_stats stats;
    if (!atomic_load_explicit(&state.ready, memory_order_acquire) ||
        state.in_force.stats != SECURE_STATS_EXIT) {
        return;
    }
    collect(&stats);
    tell_stats(&stats);
}
