/* SPDX-License-Identifier: ISC */
/* mlockall, ours and others': before us, after us, taken off behind our back, refused. */
#include <errno.h>
#include <pthread.h>
#include <secure_malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/child.h"
#include "api/churn.h"
#include "api/look.h"
#include "api/well.h"
#include "fault/limits.h"
#include "support/limits.h"

#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif

/* By number: the sanitizers make the functions do nothing. */
static int lock_all(int flags)
{
    return (int)syscall(SYS_mlockall, flags);
}

static void *use_in_a_thread(void *context)
{
    (void)context;
    use_heap(100000);
    return NULL;
}

static void work(void)
{
    pthread_t thread;
    use_heap(300000);
    CHECK(pthread_create(&thread, NULL, use_in_a_thread, NULL) == 0);
    pthread_join(thread, NULL);
    check_well();
    (void)secure_purge();
    (void)secure_trim();
    use_heap(300000);
    check_well();
}

struct lock_flags {
    const char *name;
    int flags;
    bool may_be_small; /* MCL_CURRENT charges all that there is */
};

static const struct lock_flags others[] = {
    {"MCL_CURRENT", MCL_CURRENT, false},
    {"MCL_FUTURE", MCL_FUTURE, false},
    {"MCL_CURRENT|MCL_FUTURE", MCL_CURRENT | MCL_FUTURE, false},
    {"MCL_CURRENT|MCL_ONFAULT", MCL_CURRENT | MCL_ONFAULT, false},
    {"MCL_FUTURE|MCL_ONFAULT", MCL_FUTURE | MCL_ONFAULT, false},
    {"all three", MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT, false},
};

/* Address space that is only reserved must not be charged, nor made resident. */
static void check_reservations_are_free(void)
{
    const struct ours ours = look_at_ours();
    CHECK_EQUAL(ours.locked_bytes, stats_now().locked_bytes);
    CHECK(ours.resident <= ours.locked_bytes + (512 << 10));
}

static void mlockall_before_us(void *context)
{
    const struct lock_flags *other = context;
    child_needs_to_lock_the_process();
    CHECK(lock_all(other->flags) == 0);
    work();
    check_reservations_are_free();
}

/* Our open pages are locked already. What is reserved gets locked too, which only costs. */
static void mlockall_after_us(void *context)
{
    const struct lock_flags *other = context;
    child_needs_to_lock_the_process();
    use_heap(300000);
    char *live = secure_malloc(40);
    memset(live, 6, 40);
    CHECK(lock_all(other->flags) == 0);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 0);
    use_heap(300000);
    (void)secure_purge();
    (void)secure_trim();
    use_heap(600000);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 0);
    CHECK_EQUAL(look_at_ours().open_unlocked, 0);
    CHECK(live[0] == 6 && live[39] == 6);
    const struct secure_stats stats = stats_now();
    CHECK_EQUAL(stats.live_count + stats.cached_slots + stats.free_slots, stats.all_slots);
}

static void run_for_each(const char *name, child_body *body)
{
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct lock_flags other = others[i];
        print_message("%s: %s\n", name, other.name);
        child_must_survive(name, body, &other);
    }
}

static void others_mlockall_before_us_is_fine(void **state)
{
    (void)state;
    run_for_each(__func__, mlockall_before_us);
}

static void others_mlockall_after_us_is_fine(void **state)
{
    (void)state;
    run_for_each(__func__, mlockall_after_us);
}

/* Under MCL_FUTURE and a small limit, reserving address space is refused: there is less of it then.
 */
static void MCL_FUTURE_under_a_small_limit(void *context)
{
    (void)context;
    if (SANITIZED) {
        child_skip("the sanitizers end a process that may map no more");
    }
    CHECK(limits_set_memlock(16 * page_size()) == 0);
    CHECK(lock_all(MCL_FUTURE | MCL_ONFAULT) == 0);
    char *one = secure_malloc(32);
    CHECK(one != NULL || errno == ENOMEM);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 0);
    secure_free(one);
}

/* ---- munlockall ---- */

static void munlockall_behind_our_back_is_seen(void *context)
{
    (void)context;
    char *live = secure_malloc(40);
    CHECK(live != NULL);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 0);
    CHECK(syscall(SYS_munlockall) == 0);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 40);
    CHECK_EQUAL(audit_now().locked_bytes, 0);
    secure_free(live); /* and it goes on */
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 0);
    use_heap(2000);
    (void)secure_trim();
}

/* ---- our own ---- */

static void lock_process_locks_all_but_reservations(void *context)
{
    static char in_data[16];
    (void)context;
    child_needs_to_lock_the_process();
    use_heap(100000);
    CHECK(secure_lock_process() == 0);
    CHECK_EQUAL(stats_now().lock, SECURE_LOCK_PROCESS);
    CHECK(look_at(in_data).is_locked);
    const char *later =
        mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(later != MAP_FAILED);
    CHECK(look_at(later).is_locked && look_at(later).on_fault);
    CHECK_EQUAL(look_at(later).resident, 0);
    work();
    check_reservations_are_free();
    CHECK(secure_lock_process() == 0); /* again */
    check_well();
}

static void option_lock_process(void *context)
{
    struct secure_options options = SECURE_OPTIONS_INIT;
    (void)context;
    child_needs_to_lock_the_process();
    options.lock = SECURE_LOCK_PROCESS;
    options.reserve = 100000;
    CHECK(secure_init(&options) == 0);
    CHECK_EQUAL(stats_now().lock, SECURE_LOCK_PROCESS);
    work();
    check_reservations_are_free();
}

static bool add_locked(const struct mapping *mapping, void *context)
{
    uint64_t *locked = context;
    *locked += mapping->is_locked ? mapping->end - mapping->start : 0;
    return false;
}

static uint64_t locked_in_all(void)
{
    uint64_t locked = 0;
    (void)look_at_mappings(add_locked, &locked);
    return locked;
}

/* MCL_FUTURE must not stay behind either. */
static void check_nothing_changed(uint64_t before)
{
    CHECK_EQUAL(locked_in_all(), before);
    const char *later =
        mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(later != MAP_FAILED);
    CHECK(!look_at(later).is_locked);
    CHECK_EQUAL(stats_now().lock, SECURE_LOCK_RANGE);
}

static void lock_process_is_all_or_nothing(void *context)
{
    (void)context;
    CHECK(limits_set_memlock(16 * page_size()) == 0);
    use_heap(2000);
    const uint64_t before = locked_in_all();
    const uint64_t failures = stats_now().lock_failures;
    CHECK_FAILS(secure_lock_process(), -1, ENOMEM);
    check_nothing_changed(before);
    CHECK_EQUAL(stats_now().lock_failures, failures + 1);
    use_heap(2000);
    check_well();
}

static void lock_process_without_any_right_is_EPERM(void *context)
{
    (void)context;
    CHECK(limits_set_memlock(0) == 0);
    CHECK_FAILS(secure_lock_process(), -1, EPERM);
    check_nothing_changed(0);
}

static void option_lock_process_fails_as_a_whole(void *context)
{
    struct secure_options options = SECURE_OPTIONS_INIT;
    (void)context;
    CHECK(limits_set_memlock(16 * page_size()) == 0);
    options.lock = SECURE_LOCK_PROCESS;
    options.reserve = page_size();
    CHECK_FAILS(secure_init(&options), -1, ENOMEM);
    CHECK_EQUAL(locked_in_all(), 0);
    use_heap(2000); /* with the defaults */
    CHECK_EQUAL(stats_now().lock, SECURE_LOCK_RANGE);
    check_well();
}

static void start_best_effort(void *context)
{
    struct secure_options options = SECURE_OPTIONS_INIT;
    (void)context;
    CHECK(limits_set_memlock(16 * page_size()) == 0);
    options.lock = SECURE_LOCK_PROCESS;
    options.on_lock_failure = SECURE_LOCK_BEST_EFFORT;
    CHECK(secure_init(&options) == 0);
    CHECK_EQUAL(stats_now().lock, SECURE_LOCK_RANGE);
    CHECK(stats_now().lock_failures > 0);
    use_heap(2000);
    check_well(); /* range by range it is locked */
}

static void option_lock_process_with_best_effort_says_so(void **state)
{
    struct child_end end;
    (void)state;
    child_run(&end, start_best_effort, NULL);
    assert_string_equal(end.text, "secure_malloc: the process could not be locked; it runs "
                                  "unlocked (on_lock_failure=best-effort)\n");
    assert_int_equal(end.signal, 0);
    assert_int_equal(end.exit_status, CHILD_RETURNED);
}

int limits_process(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_mlockall_before_us_is_fine),
        cmocka_unit_test(others_mlockall_after_us_is_fine),
        IN_CHILD(MCL_FUTURE_under_a_small_limit),
        IN_CHILD(munlockall_behind_our_back_is_seen),
        IN_CHILD(lock_process_locks_all_but_reservations),
        IN_CHILD(option_lock_process),
        IN_CHILD(lock_process_is_all_or_nothing),
        IN_CHILD(lock_process_without_any_right_is_EPERM),
        IN_CHILD(option_lock_process_fails_as_a_whole),
        cmocka_unit_test(option_lock_process_with_best_effort_says_so),
    };
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
