/* SPDX-License-Identifier: ISC */
/* secure_audit tells what the kernel says, good or bad. */
#include <errno.h>
#include <secure_malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/child.h"
#include "api/churn.h"
#include "api/look.h"
#include "api/well.h"

enum { SIZE = 100 };

static void *page_of(const void *pointer)
{
    return (void *)((uintptr_t)pointer / page_size() * page_size());
}

static void a_struct_that_is_too_small_is_EINVAL(void *context)
{
    struct secure_audit audit = SECURE_AUDIT_INIT;
    (void)context;
    CHECK_FAILS(secure_audit(NULL), -1, EINVAL);
    audit.struct_size = 0;
    CHECK_FAILS(secure_audit(&audit), -1, EINVAL);
    audit.struct_size = offsetof(struct secure_audit, mergeable_live_bytes);
    CHECK_FAILS(secure_audit(&audit), -1, EINVAL);
}

static void a_larger_struct_is_served(void *context)
{
    struct {
        struct secure_audit known;
        uint64_t later;
    } audit = {.later = 7};
    (void)context;
    CHECK(secure_malloc(SIZE) != NULL);
    audit.known.struct_size = sizeof(audit);
    CHECK(secure_audit(&audit.known) == 0);
    CHECK(audit.known.mappings > 0);
    CHECK_EQUAL(audit.later, 0);
}

static void nothing_is_nothing(void *context)
{
    (void)context;
    const struct secure_audit audit = audit_now();
    CHECK_EQUAL(audit.mappings + audit.locked_bytes + audit.resident_bytes, 0);
    CHECK_EQUAL(audit.unlocked_live_bytes + audit.dumpable_live_bytes, 0);
}

/* All but what lies outside of live buffers: bookkeeping may be part of a mapping. */
static void numbers_are_the_kernels(void *context)
{
    (void)context;
    child_needs_to_lock(512);
    char *small = secure_malloc(32);
    char *large = secure_malloc(100000);
    char *guarded = secure_malloc_guarded(SIZE);
    memset(small, 1, 32);
    memset(large, 1, 100000);
    memset(guarded, 1, SIZE);
    const struct secure_audit audit = audit_now();
    const struct ours ours = look_at_ours();
    CHECK_EQUAL(audit.mappings, ours.mappings);
    CHECK_EQUAL(audit.locked_bytes, ours.locked_bytes);
    CHECK_EQUAL(audit.resident_bytes, ours.resident);
    CHECK_EQUAL(audit.locked_bytes, stats_now().locked_bytes);
    CHECK(audit.resident_bytes >= 100000);
    CHECK_EQUAL(audit.swapped_bytes, 0);
    check_well();
}

static void errno_is_kept_and_nothing_changes(void *context)
{
    (void)context;
    char *live = secure_malloc(SIZE);
    CHECK(live != NULL);
    errno = EXDEV;
    const struct secure_stats before = stats_now();
    (void)audit_now();
    const struct secure_stats after = stats_now();
    CHECK(memcmp(&before, &after, sizeof(before)) == 0);
    CHECK_EQUAL(errno, EXDEV);
}

static void munlock_is_seen(void *context)
{
    (void)context;
    char *small = secure_malloc(SIZE);
    char *guarded = secure_malloc_guarded(SIZE);
    CHECK(syscall(SYS_munlock, page_of(small), page_size()) == 0);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, SIZE);
    CHECK(syscall(SYS_munlock, page_of(guarded), page_size()) == 0);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 2 * SIZE);
    CHECK_EQUAL(audit_now().dumpable_live_bytes, 0);
    secure_free(small);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, SIZE);
}

static void munlockall_is_seen(void *context)
{
    (void)context;
    CHECK(secure_malloc(SIZE) != NULL && secure_malloc_guarded(SIZE) != NULL);
    CHECK(syscall(SYS_munlockall) == 0);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 2 * SIZE);
    CHECK_EQUAL(audit_now().locked_bytes, 0);
}

/* Only the part of a buffer that lies in such a mapping counts. */
static void a_part_of_a_large_buffer_is_seen(void *context)
{
    (void)context;
    child_needs_to_lock(256);
    char *large = secure_malloc(8 * page_size() + 10);
    CHECK(syscall(SYS_munlock, large + 2 * page_size(), 3 * page_size()) == 0);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 3 * page_size());
    CHECK(syscall(SYS_munlock, large + 8 * page_size(), page_size()) == 0);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 3 * page_size() + 10);
}

static void DODUMP_is_seen(void *context)
{
    (void)context;
    char *small = secure_malloc(SIZE);
    char *guarded = secure_malloc_guarded(SIZE);
    CHECK(madvise(page_of(small), page_size(), MADV_DODUMP) == 0);
    CHECK_EQUAL(audit_now().dumpable_live_bytes, SIZE);
    CHECK(madvise(page_of(guarded), page_size(), MADV_DODUMP) == 0);
    CHECK_EQUAL(audit_now().dumpable_live_bytes, 2 * SIZE);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 0);
}

static void MERGEABLE_is_seen(void *context)
{
    (void)context;
    char *small = secure_malloc(SIZE);
    CHECK(small != NULL);
    if (madvise(page_of(small), page_size(), MADV_MERGEABLE) != 0) {
        child_skip("this kernel merges no pages");
    }
    CHECK_EQUAL(audit_now().mergeable_live_bytes, SIZE);
}

static void closed_buffers_count_too(void *context)
{
    (void)context;
    char *guarded = secure_malloc_guarded(SIZE);
    CHECK(secure_protect(guarded, SECURE_NO_ACCESS) == 0);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 0);
    CHECK(syscall(SYS_munlock, page_of(guarded), page_size()) == 0);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, SIZE);
}

/* Regions open and close while smaps is read. A daemon that watches itself must not be told that
 * its secrets are unlocked when they are not. */
static void threads_at_work_raise_no_false_alarm(void *context)
{
    (void)context;
    child_needs_to_lock(7168);
    churn_start(4, false);
    for (int i = 0; i < 300; i++) {
        const struct secure_audit audit = audit_now();
        CHECK_EQUAL(audit.unlocked_live_bytes, 0);
        CHECK_EQUAL(audit.dumpable_live_bytes, 0);
        CHECK_EQUAL(audit.mergeable_live_bytes, 0);
        (void)(i % 4 == 0 ? secure_trim() : 0);
    }
    CHECK(churn_stop() > 0);
    check_well();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(a_struct_that_is_too_small_is_EINVAL),
        IN_CHILD(a_larger_struct_is_served),
        IN_CHILD(nothing_is_nothing),
        IN_CHILD(numbers_are_the_kernels),
        IN_CHILD(errno_is_kept_and_nothing_changes),
        IN_CHILD(munlock_is_seen),
        IN_CHILD(munlockall_is_seen),
        IN_CHILD(a_part_of_a_large_buffer_is_seen),
        IN_CHILD(DODUMP_is_seen),
        IN_CHILD(MERGEABLE_is_seen),
        IN_CHILD(closed_buffers_count_too),
        IN_CHILD(threads_at_work_raise_no_false_alarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
