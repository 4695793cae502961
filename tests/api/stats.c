/* SPDX-License-Identifier: ISC */
/* The library's counters add up, after whatever, and agree with the kernel's. */
#include <errno.h>
#include <pthread.h>
#include <secure_malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "api/child.h"
#include "api/churn.h"
#include "api/look.h"
#include "api/well.h"

/* ---- the struct ---- */

static void a_struct_that_is_too_small_is_EINVAL(void *context)
{
    struct secure_stats stats = SECURE_STATS_INIT;
    (void)context;
    CHECK_FAILS(secure_stats(NULL), -1, EINVAL);
    stats.struct_size = 0;
    CHECK_FAILS(secure_stats(&stats), -1, EINVAL);
    stats.struct_size = offsetof(struct secure_stats, on_lock_failure);
    stats.live_count = 77;
    CHECK_FAILS(secure_stats(&stats), -1, EINVAL);
    CHECK_EQUAL(stats.live_count, 77);
}

/* A program compiled against a later header finds zeros in what this library does not know. */
static void a_larger_struct_is_served(void *context)
{
    struct {
        struct secure_stats known;
        uint64_t later[3];
        uint64_t behind;
    } stats = {.later = {7, 7, 7}, .behind = 7};
    (void)context;
    CHECK(secure_malloc(10) != NULL);
    stats.known.struct_size = offsetof(__typeof__(stats), behind);
    CHECK(secure_stats(&stats.known) == 0);
    CHECK_EQUAL(stats.known.struct_size, offsetof(__typeof__(stats), behind));
    CHECK_EQUAL(stats.known.live_count, 1);
    CHECK_EQUAL(stats.known.live_bytes, 10);
    CHECK_EQUAL(stats.later[0] + stats.later[1] + stats.later[2], 0);
    CHECK_EQUAL(stats.behind, 7);
}

static void stats_begin_at_0(void *context)
{
    (void)context;
    const struct secure_stats stats = stats_now();
    CHECK_EQUAL(stats.live_count + stats.live_bytes + stats.all_slots + stats.locked_bytes, 0);
    CHECK_EQUAL(stats.forks + stats.purges + stats.lock_failures + stats.dirty_bytes, 0);
    CHECK_EQUAL(stats.lock, SECURE_LOCK_RANGE);
    CHECK_EQUAL(stats.on_lock_failure, SECURE_LOCK_FAIL);
    CHECK(stats.purge_way <= SECURE_PURGE_FALLBACK);
    check_well();
}

/* ---- sums ---- */

static void live_is_what_the_program_has(void *context)
{
    static const size_t sizes[] = {0, 1, 32, 1000, 5000, 20000};
    char *all[12];
    uint64_t bytes = 0;
    (void)context;
    child_needs_to_lock(512);
    for (size_t i = 0; i < 12; i++) {
        all[i] = i < 6 ? secure_malloc(sizes[i]) : secure_malloc_guarded(sizes[i - 6]);
        CHECK(all[i] != NULL);
        bytes += sizes[i % 6];
        CHECK_EQUAL(stats_now().live_count, i + 1);
        CHECK_EQUAL(stats_now().live_bytes, bytes);
    }
    all[2] = secure_realloc(all[2], 40);
    all[4] = secure_realloc(all[4], 6000);
    all[5] = secure_realloc(all[5], 30000);
    all[10] = secure_realloc(all[10], 5001);
    bytes += 8 + 1000 + 10000 + 1;
    CHECK_EQUAL(stats_now().live_bytes, bytes);
    CHECK_EQUAL(stats_now().live_count, 12);
    CHECK_FAILS(secure_realloc(all[3], SIZE_MAX / 2), NULL, ENOMEM);
    CHECK_EQUAL(stats_now().live_bytes, bytes);
    check_well();
    for (size_t i = 0; i < 12; i++) {
        secure_free(all[i]);
        CHECK_EQUAL(stats_now().live_count, 11 - i);
    }
    CHECK_EQUAL(stats_now().live_bytes, 0);
    check_well();
}

static void sums_hold_through_purge_and_trim(void *context)
{
    (void)context;
    child_needs_to_lock(2048);
    for (int round = 0; round < 3; round++) {
        use_heap(600000);
        check_well();
        const uint64_t purged = stats_now().purged_bytes;
        const size_t given = secure_purge();
        CHECK_EQUAL(stats_now().purged_bytes - purged, given);
        CHECK_EQUAL(stats_now().dirty_bytes, 0);
        check_well();
        const uint64_t locked = stats_now().locked_bytes;
        const size_t budget = secure_trim();
        CHECK_EQUAL(locked - stats_now().locked_bytes, budget);
        check_well();
    }
    CHECK_EQUAL(stats_now().cached_slots, 0);
    CHECK_EQUAL(stats_now().all_slots, 0);
    CHECK_EQUAL(stats_now().locked_bytes, 0);
}

static void sums_hold_after_threads(void *context)
{
    (void)context;
    child_needs_to_lock(7168);
    for (int round = 0; round < 5; round++) {
        churn_start(4, false);
        use_heap(100000);
        for (int i = 0; i < 50; i++) { /* beside running threads: sums of relaxed counters */
            (void)stats_now();
            (void)secure_purge();
        }
        CHECK(churn_stop() > 0);
        check_well();
        CHECK_EQUAL(stats_now().live_count, 0);
        CHECK_EQUAL(stats_now().live_bytes, 0);
    }
    (void)secure_trim();
    CHECK_EQUAL(stats_now().locked_bytes, 0); /* no thread that ended has kept anything */
}

static void sums_hold_in_a_child_of_threads(void *context)
{
    (void)context;
    child_needs_to_lock(7168);
    churn_start(3, false);
    for (int i = 0; i < 10; i++) {
        const pid_t child = fork();
        if (child == 0) {
            check_well();
            use_heap(50000);
            check_well();
            child_exit(0);
        }
        child_wait(child);
    }
    CHECK(churn_stop() > 0);
    CHECK_EQUAL(stats_now().forks, 10);
    check_well();
}

static void a_lock_limit_is_no_unlocked_byte(void *context)
{
    struct secure_options options = SECURE_OPTIONS_INIT;
    (void)context;
    options.lock_limit = 4 * page_size();
    CHECK(secure_init(&options) == 0);
    while (secure_malloc(100) != NULL) {
    }
    const struct secure_stats stats = stats_now();
    CHECK(stats.locked_bytes <= 4 * page_size());
    CHECK_EQUAL(stats.unlocked_bytes, 0);
    check_well();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(a_struct_that_is_too_small_is_EINVAL),
        IN_CHILD(a_larger_struct_is_served),
        IN_CHILD(stats_begin_at_0),
        IN_CHILD(live_is_what_the_program_has),
        IN_CHILD(sums_hold_through_purge_and_trim),
        IN_CHILD(sums_hold_after_threads),
        IN_CHILD(sums_hold_in_a_child_of_threads),
        IN_CHILD(a_lock_limit_is_no_unlocked_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
