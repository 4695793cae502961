/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "os/os.h"
#include "support/sanitizer.h"
#include "unit/expect.h"
#include "unit/os_view.h"

enum {
    PAGES = 8,
    FILLED = 0xa5,
    DONTNEED_LOCKED = 24,
    MANY = 300, /* ranges: more than one batch, and not a multiple of it */
};

static size_t page;
static size_t size;

static int find_page_size(void **state)
{
    (void)state;
    page = os_page_size();
    size = PAGES * page;
    return 0;
}

static char *locked(size_t bytes)
{
    void *start = NULL;
    int lock_error = 0;
    if (os_pages_reserve(bytes, page, &start) != 0 ||
        os_pages_open(start, bytes, false, &lock_error) != 0) {
        return NULL;
    }
    return start;
}

static struct os_range range_of(char *start, size_t bytes)
{
    return (struct os_range){.start = start, .size = bytes, .locked = true};
}

static enum os_purge_result purge_pages(struct os_purger *purger, char *start, size_t bytes)
{
    struct os_range range = range_of(start, bytes);
    range.result = (enum os_purge_result) - 1;
    os_pages_purge(purger, &range, 1);
    return range.result;
}

static struct os_purger purger_of(enum os_purge_way way)
{
    return (struct os_purger){.way = way};
}

/* ---- the way is chosen by trial ---- */

struct refusals {
    int locked_advice; /* errno, or 0 */
    int process_madvise;
    int mlock2;
    enum os_purge_way way;
};

static void refuse(const struct refusals *refusals)
{
    if (refusals->locked_advice != 0) {
        expect_filter(filter_madvise(DONTNEED_LOCKED, refusals->locked_advice));
        expect_filter(filter_process_madvise(DONTNEED_LOCKED, refusals->locked_advice));
    }
    if (refusals->process_madvise != 0) {
        expect_filter(filter_syscall(SYS_process_madvise, refusals->process_madvise));
    }
    if (refusals->mlock2 != 0) {
        expect_filter(filter_syscall(SYS_mlock2, refusals->mlock2));
    }
}

static void probe_here(void *context)
{
    const struct refusals *refusals = context;
    struct os_purger purger;
    refuse(refusals);
    errno = ERANGE;
    const unsigned long mappings = view_count_mappings();
    os_purge_probe(&purger);
    EXPECT(errno == ERANGE && (THREAD_SANITIZED || view_count_mappings() == mappings));
    EXPECT(purger.way == refusals->way);
    EXPECT(purger.system_calls == 0);
}

static enum os_purge_way way_here(void)
{
    struct os_purger purger;
    os_purge_probe(&purger);
    return purger.way;
}

/* Answers 0 to madvise and does nothing, as some emulators do. */
static void probe_on_an_emulator(void *context)
{
    (void)context;
    struct os_purger purger;
    expect_filter(filter_madvise(DONTNEED_LOCKED, 0));
    os_purge_probe(&purger);
    EXPECT(purger.way == OS_PURGE_FALLBACK);
}

static void probe_without_memory(void *context)
{
    (void)context;
    struct os_purger purger;
    expect_filter(filter_syscall(SYS_mmap, ENOMEM));
    os_purge_probe(&purger);
    EXPECT(purger.way == OS_PURGE_FALLBACK);
}

static void probe_finds_what_the_kernel_does(void **state)
{
    (void)state;
    struct refusals batch_refused[] = {
        {0, EINVAL, 0, OS_PURGE_LOCKED}, /* 5.18 to 6.12: not for oneself */
        {0, ENOSYS, 0, OS_PURGE_LOCKED},
        {0, EBADF, 0, OS_PURGE_LOCKED}, /* 6.13: no PIDFD_SELF */
        {0, EPERM, 0, OS_PURGE_LOCKED},
    };
    struct refusals all_refused[] = {
        {EINVAL, 0, 0, OS_PURGE_FALLBACK}, /* before 5.18 */
        {EPERM, 0, 0, OS_PURGE_FALLBACK},
        {EINVAL, 0, ENOSYS, OS_PURGE_FALLBACK},
    };
    for (size_t i = 0; i < sizeof(all_refused) / sizeof(all_refused[0]); i++) {
        expect_child(probe_here, &all_refused[i]);
    }
    expect_child(probe_on_an_emulator, NULL);
    expect_child(probe_without_memory, NULL);
    if (way_here() != OS_PURGE_FALLBACK) {
        for (size_t i = 0; i < sizeof(batch_refused) / sizeof(batch_refused[0]); i++) {
            expect_child(probe_here, &batch_refused[i]);
        }
    }
}

/* ---- the three ways ---- */

/* A range within one mapping is purged; its neighbours, its lock and its charge stay. */
static void check_way(struct os_purger *purger)
{
    const unsigned long charged = view_charged();
    char *start = locked(size);
    EXPECT(start != NULL);
    memset(start, FILLED, size);
    memset(start + 2 * page, 0, 3 * page);
    const unsigned long mappings = view_count_mappings();
    errno = ERANGE;
    EXPECT(purge_pages(purger, start + 2 * page, 3 * page) == OS_PURGED);
    EXPECT(errno == ERANGE);
    for (size_t i = 0; i < PAGES; i++) {
        EXPECT(view_is_resident(start + i * page) == (i < 2 || i >= 5));
    }
    EXPECT(view_charged() == charged + size);
    EXPECT(view_is_locked_on_fault(start) && view_is_locked_on_fault(start + 2 * page));
    /* ThreadSanitizer has a thread of its own, which maps memory at any time. */
    EXPECT(THREAD_SANITIZED || view_count_mappings() == mappings);
    EXPECT(view_is_all(start, 2 * page, FILLED) && view_is_all(start + 2 * page, 3 * page, 0));
    EXPECT(view_is_all(start + 5 * page, 3 * page, FILLED));
    EXPECT(os_pages_close(start, size) == 0);
    os_pages_unreserve(start, size);
}

static void purge_one_way(void *context)
{
    struct os_purger purger = purger_of(*(const enum os_purge_way *)context);
    check_way(&purger);
    EXPECT(purger.way == *(const enum os_purge_way *)context);
    EXPECT(purger.system_calls == (purger.way == OS_PURGE_FALLBACK ? 3 : 1));
}

static void each_way_gives_pages_back_and_keeps_the_lock(void **state)
{
    (void)state;
    enum os_purge_way ways[] = {OS_PURGE_FALLBACK, OS_PURGE_LOCKED, OS_PURGE_BATCHED};
    const enum os_purge_way best = way_here();
    expect_child(purge_one_way, &ways[0]);
    if (best != OS_PURGE_FALLBACK) {
        expect_child(purge_one_way, &ways[1]);
    }
    if (best == OS_PURGE_BATCHED) {
        expect_child(purge_one_way, &ways[2]);
    }
}

static struct os_range *every_other_page(char *start)
{
    struct os_range *ranges = calloc(MANY, sizeof(*ranges));
    for (size_t i = 0; i < MANY; i++) {
        ranges[i] = range_of(start + 2 * i * page, page);
        ranges[i].result = (enum os_purge_result) - 1;
    }
    return ranges;
}

static void purge_many(void *context)
{
    struct os_purger purger = purger_of(*(const enum os_purge_way *)context);
    char *start = locked(2 * MANY * page);
    EXPECT(start != NULL);
    memset(start, 0, 2 * MANY * page);
    struct os_range *ranges = every_other_page(start);
    os_pages_purge(&purger, ranges, MANY);
    for (size_t i = 0; i < MANY; i++) {
        EXPECT(ranges[i].result == OS_PURGED);
    }
    EXPECT(view_of(start).resident == MANY * page);
    EXPECT(view_charged() == 2 * MANY * page);
    switch ((enum os_purge_way)purger.way) {
    case OS_PURGE_BATCHED:
        EXPECT(purger.system_calls == 3); /* 128, 128, 44 */
        break;
    case OS_PURGE_LOCKED:
        EXPECT(purger.system_calls == MANY);
        break;
    default:
        EXPECT(purger.system_calls == 3 * MANY);
    }
    os_pages_purge(&purger, ranges, 0);
}

static void many_ranges_take_few_calls_where_the_kernel_batches(void **state)
{
    (void)state;
    if (!limits_need_memlock(2 * MANY * page)) {
        skip_test("needs 600 pages of RLIMIT_MEMLOCK");
    }
    enum os_purge_way ways[] = {OS_PURGE_FALLBACK, OS_PURGE_LOCKED, OS_PURGE_BATCHED};
    const enum os_purge_way best = way_here();
    expect_child(purge_many, &ways[0]);
    if (best != OS_PURGE_FALLBACK) {
        expect_child(purge_many, &ways[1]);
    }
    if (best == OS_PURGE_BATCHED) {
        expect_child(purge_many, &ways[2]);
    }
}

/* The kernel stops at a range that it does not take and says how many bytes it did. */
static void purge_around_a_hole(void *context)
{
    (void)context;
    struct os_purger purger = purger_of(OS_PURGE_BATCHED);
    char *start = locked(size);
    memset(start, 0, size);
    EXPECT(munmap(start + 4 * page, page) == 0);
    struct os_range ranges[] = {
        range_of(start, page),
        range_of(start + 3 * page, 3 * page),
        range_of(start + 7 * page, page),
    };
    os_pages_purge(&purger, ranges, 3);
    EXPECT(purger.way == OS_PURGE_BATCHED);
    EXPECT(ranges[0].result == OS_PURGED && ranges[2].result == OS_PURGED);
    EXPECT(ranges[1].result == OS_RESIDENT);
    EXPECT(!view_is_resident(start) && !view_is_resident(start + 7 * page));
    EXPECT(view_is_resident(start + page));
}

static void batch_goes_on_behind_a_range_that_fails(void **state)
{
    (void)state;
    if (way_here() != OS_PURGE_BATCHED) {
        skip_test("this kernel has no process_madvise for oneself (Linux 6.15)");
    }
    expect_child(purge_around_a_hole, NULL);
}

static void *purge_when_main_has_ended(void *context)
{
    (void)context;
    struct os_purger purger = purger_of(OS_PURGE_BATCHED);
    const struct timespec moment = {0, 50 * 1000 * 1000};
    nanosleep(&moment, NULL);
    char *start = locked(size);
    memset(start, 0, size);
    EXPECT(purge_pages(&purger, start, size) == OS_PURGED);
    EXPECT(!view_is_resident(start));
    child_exit(0);
}

static void end_main_thread(void *context)
{
    (void)context;
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, purge_when_main_has_ended, NULL) == 0);
    pthread_exit(NULL);
}

static void purge_works_when_the_main_thread_has_ended(void **state)
{
    (void)state;
    if (way_here() != OS_PURGE_BATCHED) {
        skip_test("this kernel has no process_madvise for oneself (Linux 6.15)");
    }
    expect_child(end_main_thread, NULL);
}

static void purge_guarded(void *context)
{
    struct os_purger purger = purger_of(*(const enum os_purge_way *)context);
    void *reserved = NULL;
    int lock_error = 0;
    EXPECT(os_pages_reserve(size, page, &reserved) == 0);
    char *start = reserved;
    if (!os_guard_install(start + 4 * page, page)) {
        expect_skip("this kernel has no guard pages (Linux 6.13)");
    }
    EXPECT(os_pages_open(start, size, false, &lock_error) == 0);
    memset(start, 0, 4 * page);
    EXPECT(purge_pages(&purger, start, size) == OS_PURGED);
    EXPECT(!view_is_resident(start) && view_charged() == size);
    start[3 * page] = 1;
    start[5 * page] = 1;
    EXPECT(write(STDERR_FILENO, start + 4 * page, 1) == -1 && errno == EFAULT); /* still there */
}

static void guards_outlive_a_purge(void **state)
{
    (void)state;
    enum os_purge_way ways[] = {OS_PURGE_FALLBACK, OS_PURGE_LOCKED, OS_PURGE_BATCHED};
    if (way_here() != OS_PURGE_BATCHED) {
        skip_test("this kernel has no guard pages (Linux 6.13)");
    }
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        expect_child(purge_guarded, &ways[i]);
    }
}

static void purge_bookkeeping(void *context)
{
    struct os_purger purger = purger_of(*(const enum os_purge_way *)context);
    void *reserved = NULL;
    EXPECT(os_pages_reserve(size, page, &reserved) == 0);
    EXPECT(os_pages_open_bookkeeping(reserved, size) == 0);
    for (int locked_by_others = 0; locked_by_others < 2; locked_by_others++) {
        memset(reserved, 0, size);
        if (locked_by_others) {
            EXPECT(syscall(SYS_mlock, reserved, size) == 0);
        }
        struct os_range range = {.start = reserved, .size = size, .locked = false};
        os_pages_purge(&purger, &range, 1);
        EXPECT(range.result == OS_PURGED && view_of(reserved).resident == 0);
        EXPECT(locked_by_others || !view_is_locked(reserved));
    }
    EXPECT(purger.way == *(const enum os_purge_way *)context);
}

static void bookkeeping_is_purged_and_not_locked_by_it(void **state)
{
    (void)state;
    enum os_purge_way ways[] = {OS_PURGE_FALLBACK, OS_PURGE_LOCKED, OS_PURGE_BATCHED};
    const enum os_purge_way best = way_here();
    expect_child(purge_bookkeeping, &ways[0]);
    if (best == OS_PURGE_BATCHED) {
        expect_child(purge_bookkeeping, &ways[1]);
        expect_child(purge_bookkeeping, &ways[2]);
    }
}

/* ---- a way that is taken away ---- */

static void purge_after_refusal(void *context)
{
    const struct refusals *refusals = context;
    struct os_purger purger;
    os_purge_probe(&purger);
    refuse(refusals);
    if (refusals->mlock2 == 0) {
        check_way(&purger);
        EXPECT(purger.way == refusals->way);
        return;
    }
    char *start = locked(size);
    memset(start, FILLED, size);
    memset(start + page, 0, page);
    const enum os_purge_result result = purge_pages(&purger, start + page, page);
    EXPECT(purger.way == refusals->way);
    EXPECT(view_is_all(start, page, FILLED));
    EXPECT(view_is_all(start + 2 * page, size - 2 * page, FILLED));
    if (purger.way == OS_PURGE_FALLBACK) {
        /* A plain mlock would fault it in again. */
        EXPECT(result == OS_UNLOCKED);
        EXPECT(!view_is_locked(start + page) && view_charged() == size - page);
    } else {
        EXPECT(result == OS_PURGED && view_is_locked(start + page));
    }
    EXPECT(!view_is_resident(start + page));
}

static void filter_after_the_probe_steps_down_without_loss(void **state)
{
    (void)state;
    const enum os_purge_way best = way_here();
    struct refusals refusals[] = {
        {EINVAL, 0, 0, OS_PURGE_FALLBACK},
        {EPERM, 0, 0, OS_PURGE_FALLBACK},
        {ENOSYS, 0, 0, OS_PURGE_FALLBACK},
        {0, EPERM, 0, best == OS_PURGE_FALLBACK ? best : OS_PURGE_LOCKED},
        {0, 0, ENOSYS, best},
        {EINVAL, 0, ENOSYS, OS_PURGE_FALLBACK},
    };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        expect_child(purge_after_refusal, &refusals[i]);
    }
}

/* From a batch over range by range to the fall-back, within one call. */
static void purge_many_after_refusal(void *context)
{
    (void)context;
    struct os_purger purger = purger_of(OS_PURGE_BATCHED);
    char *start = locked(2 * MANY * page);
    memset(start, 0, 2 * MANY * page);
    struct os_range *ranges = every_other_page(start);
    expect_filter(filter_madvise(DONTNEED_LOCKED, EINVAL));
    expect_filter(filter_syscall(SYS_process_madvise, EPERM));
    os_pages_purge(&purger, ranges, MANY);
    EXPECT(purger.way == OS_PURGE_FALLBACK);
    for (size_t i = 0; i < MANY; i++) {
        EXPECT(ranges[i].result == OS_PURGED);
    }
    EXPECT(view_of(start).resident == MANY * page && view_charged() == 2 * MANY * page);
}

static void all_of_a_purge_goes_the_way_that_is_left(void **state)
{
    (void)state;
    if (!limits_need_memlock(2 * MANY * page)) {
        skip_test("needs 600 pages of RLIMIT_MEMLOCK");
    }
    expect_child(purge_many_after_refusal, NULL);
}

static void purge_where_munlock_is_refused(void *context)
{
    struct os_purger purger = purger_of(OS_PURGE_FALLBACK);
    char *start = locked(size);
    memset(start, 0, size);
    expect_filter(filter_syscall(SYS_munlock, *(const int *)context));
    EXPECT(purge_pages(&purger, start + page, page) == OS_RESIDENT);
    EXPECT(view_of(start).resident == size && view_charged() == size);
}

static void purge_where_discard_is_refused(void *context)
{
    (void)context;
    struct os_purger purger = purger_of(OS_PURGE_FALLBACK);
    char *start = locked(size);
    memset(start, 0, size);
    expect_filter(filter_madvise(MADV_DONTNEED, EPERM));
    EXPECT(purge_pages(&purger, start + page, page) == OS_RESIDENT);
    EXPECT(view_of(start).resident == size && view_charged() == size);
    EXPECT(view_is_locked_on_fault(start + page));
}

static void what_cannot_be_unlocked_or_discarded_stays_as_it_was(void **state)
{
    (void)state;
    int errors[] = {ENOMEM, EPERM}; /* the limit on mappings, a sandbox */
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        expect_child(purge_where_munlock_is_refused, &errors[i]);
    }
    expect_child(purge_where_discard_is_refused, NULL);
}

static void purge_where_relock_is_refused(void *context)
{
    (void)context;
    struct os_purger purger = purger_of(OS_PURGE_FALLBACK);
    char *start = locked(size);
    memset(start, 0, size);
    expect_lock_limit(size - page); /* the limit was lowered */
    EXPECT(purge_pages(&purger, start, size) == OS_UNLOCKED);
    EXPECT(view_of(start).resident == 0 && view_charged() == 0);
}

static void what_cannot_be_locked_again_is_said(void **state)
{
    (void)state;
    expect_child(purge_where_relock_is_refused, NULL);
}

int main(void)
{
    expect_pages_to_lock("unit.os_purge", os_page_size());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probe_finds_what_the_kernel_does),
        cmocka_unit_test(each_way_gives_pages_back_and_keeps_the_lock),
        cmocka_unit_test(many_ranges_take_few_calls_where_the_kernel_batches),
        cmocka_unit_test(batch_goes_on_behind_a_range_that_fails),
        cmocka_unit_test(purge_works_when_the_main_thread_has_ended),
        cmocka_unit_test(guards_outlive_a_purge),
        cmocka_unit_test(bookkeeping_is_purged_and_not_locked_by_it),
        cmocka_unit_test(filter_after_the_probe_steps_down_without_loss),
        cmocka_unit_test(all_of_a_purge_goes_the_way_that_is_left),
        cmocka_unit_test(what_cannot_be_unlocked_or_discarded_stays_as_it_was),
        cmocka_unit_test(what_cannot_be_locked_again_is_said),
    };
    return cmocka_run_group_tests(tests, find_page_size, NULL);
}
