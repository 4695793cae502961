/* SPDX-License-Identifier: ISC */
/* What cannot be done without goes through on_lock_failure; and calls that lie, or that fail for
 * all. */
#include <errno.h>
#include <fcntl.h>
#include <secure_malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/child.h"
#include "api/look.h"
#include "api/well.h"
#include "fault/seccomp.h"
#include "support/seccomp.h"
#include "support/skip.h"

static void init_with(uint32_t on_lock_failure, uint32_t on_fork)
{
    struct secure_options options = SECURE_OPTIONS_INIT;
    options.on_lock_failure = on_lock_failure;
    options.on_fork = on_fork;
    CHECK(secure_init(&options) == 0);
}

static void check_refused(void)
{
    CHECK_FAILS(secure_malloc(32), NULL, EPERM);
    CHECK_FAILS(secure_malloc(20000), NULL, EPERM);
    CHECK_FAILS(secure_malloc_guarded(32), NULL, EPERM);
    CHECK(stats_now().lock_failures >= 3);
    CHECK_EQUAL(stats_now().live_count, 0);
    CHECK_EQUAL(look_at_ours().bytes, 0);
}

static void no_DONTDUMP_no_memory(void *context)
{
    (void)context;
    must_be_filtered(filter_madvise(MADV_DONTDUMP, EINVAL));
    check_refused();
}

static void no_WIPEONFORK_no_memory_under_wipe(void *context)
{
    (void)context;
    must_be_filtered(filter_madvise(MADV_WIPEONFORK, EINVAL));
    init_with(SECURE_LOCK_FAIL, SECURE_FORK_WIPE);
    check_refused();
}

static void no_DONTFORK_no_memory_under_drop(void *context)
{
    (void)context;
    must_be_filtered(filter_madvise(MADV_DONTFORK, EPERM));
    init_with(SECURE_LOCK_FAIL, SECURE_FORK_DROP);
    check_refused();
}

/* What is live stays as it was; what would need a new region is refused. */
static void DONTDUMP_taken_away_later(void *context)
{
    (void)context;
    child_needs_to_lock(64);
    char *live = secure_malloc(32);
    memset(live, 1, 32);
    must_be_filtered(filter_madvise(MADV_DONTDUMP, EINVAL));
    char *more = secure_malloc(32);
    CHECK(more != NULL);
    CHECK_FAILS(secure_malloc(20000), NULL, EPERM);
    CHECK_FAILS(secure_malloc_guarded(32), NULL, EPERM);
    CHECK_EQUAL(audit_now().dumpable_live_bytes, 0);
    CHECK(live[0] == 1 && live[31] == 1);
    secure_free_sized(live, 32);
    secure_free_sized(more, 32);
    CHECK(stats_now().lock_failures >= 2);
}

static void best_effort_goes_on_dumpable_and_counts(void *context)
{
    (void)context;
    must_be_filtered(filter_madvise(MADV_DONTDUMP, EINVAL));
    init_with(SECURE_LOCK_BEST_EFFORT, SECURE_FORK_KEEP);
    char *live = secure_malloc(32);
    CHECK(live != NULL);
    CHECK(stats_now().lock_failures > 0);
    CHECK_EQUAL(audit_now().dumpable_live_bytes, 32);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 0);
    secure_free(live);
}

static void best_effort_goes_on_without_WIPEONFORK(void *context)
{
    (void)context;
    must_be_filtered(filter_madvise(MADV_WIPEONFORK, EINVAL));
    init_with(SECURE_LOCK_BEST_EFFORT, SECURE_FORK_WIPE);
    CHECK(secure_malloc(32) != NULL);
    CHECK(stats_now().lock_failures > 0);
}

/* ---- no lock of any kind ---- */

static void refuse_locks(int error)
{
    must_be_filtered(filter_syscall(SYS_mlock, error));
    must_be_filtered(filter_syscall(SYS_mlock2, error));
}

static void no_locks_no_memory(void *context)
{
    (void)context;
    refuse_locks(EPERM);
    CHECK_FAILS(secure_malloc(32), NULL, EPERM);
    CHECK_FAILS(secure_malloc(20000), NULL, EPERM);
    CHECK_FAILS(secure_malloc_guarded(32), NULL, EPERM);
    CHECK_FAILS(secure_aligned_alloc(4096, 32), NULL, EPERM);
    CHECK_EQUAL(look_at_ours().open_unlocked, 0);
    CHECK_EQUAL(stats_now().live_count, 0);
}

/* The kernel's EAGAIN is ENOMEM for the caller. */
static void EAGAIN_is_ENOMEM(void *context)
{
    (void)context;
    refuse_locks(EAGAIN);
    CHECK_FAILS(secure_malloc(32), NULL, ENOMEM);
    CHECK_FAILS(secure_malloc_guarded(32), NULL, ENOMEM);
}

static void locks_taken_away_later(void *context)
{
    (void)context;
    child_needs_to_lock(64);
    char *live = secure_malloc(32);
    memset(live, 1, 32);
    refuse_locks(EPERM);
    CHECK_FAILS(secure_malloc(20000), NULL, EPERM);
    CHECK_FAILS(secure_malloc_guarded(32), NULL, EPERM);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 0);
    CHECK(live[0] == 1 && live[31] == 1);
    secure_free_sized(live, 32);
    check_well();
}

/* In the fall-back a purge unlocks, and cannot lock again: what it gave up must not be handed out.
 */
static void locks_taken_away_in_the_fall_back(void *context)
{
    (void)context;
    child_needs_to_lock(1024);
    must_be_filtered(filter_madvise(ADVICE_DONTNEED_LOCKED, EINVAL));
    use_heap(300000);
    char *kept[64];
    for (int i = 0; i < 64; i++) {
        kept[i] = secure_malloc(32);
    }
    refuse_locks(EPERM);
    (void)secure_purge();
    CHECK(stats_now().relock_failures > 0);
    for (int i = 0; i < 1000; i++) {
        char *one = secure_malloc(32 + (size_t)i % 2000);
        CHECK(one != NULL || errno == EPERM || errno == ENOMEM);
        CHECK_EQUAL(i % 50 == 0 ? audit_now().unlocked_live_bytes : 0, 0);
    }
    for (int i = 0; i < 64; i++) {
        secure_free(kept[i]);
    }
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 0);
}

/* The one notice, and no more. */
static void use_without_locks(void *context)
{
    (void)context;
    refuse_locks(EPERM);
    init_with(SECURE_LOCK_BEST_EFFORT, SECURE_FORK_KEEP);
    use_heap(300000);
    use_heap(300000);
    char *live = secure_malloc(40);
    CHECK(live != NULL);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 40);
    CHECK(stats_now().lock_failures > 0);
    CHECK_EQUAL(stats_now().locked_bytes, 0);
    check_well_but_unlocked();
}

static void best_effort_goes_on_unlocked_and_says_so_once(void **state)
{
    struct child_end end;
    (void)state;
    child_run(&end, use_without_locks, NULL);
    if (end.exit_status == SKIP_EXIT_CODE) {
        skip_test(end.text);
    }
    assert_int_equal(end.signal, 0);
    assert_string_equal(end.text, "secure_malloc: memory could not be locked; it is used unlocked "
                                  "(on_lock_failure=best-effort)\n");
    assert_int_equal(end.exit_status, CHILD_RETURNED);
}

/* ---- calls that say yes and do nothing, as emulators do ---- */

static void a_DONTNEED_LOCKED_that_lies_is_seen(void *context)
{
    (void)context;
    child_needs_to_lock(1024);
    must_be_filtered(filter_madvise(ADVICE_DONTNEED_LOCKED, 0));
    must_be_filtered(filter_process_madvise(ADVICE_DONTNEED_LOCKED, 0));
    use_heap(300000);
    CHECK_EQUAL(stats_now().purge_way, SECURE_PURGE_FALLBACK);
    check_well();
}

/* ---- huge pages ---- */

static const char THP[] = "/sys/kernel/mm/transparent_hugepage/enabled";

static bool set_huge_pages(const char *mode)
{
    const int file = open(THP, O_WRONLY | O_CLOEXEC);
    const bool is_set = file >= 0 && write(file, mode, strlen(mode)) == (ssize_t)strlen(mode);
    if (file >= 0) {
        close(file);
    }
    return is_set;
}

/* One touched byte must not lock 2 MiB. */
static void touch_one_byte_of_each_page_in_2_MiB(void *context)
{
    enum { SIZE = 8 << 20 };
    (void)context;
    child_needs_to_lock(16384);
    char *control = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(control, 1, SIZE);
    if (look_at(control + SIZE / 2).huge == 0) {
        child_skip("this machine makes no huge pages");
    }
    char *large = secure_malloc(SIZE);
    CHECK(large != NULL);
    for (size_t i = 0; i < SIZE; i += (size_t)1 << 20) {
        large[i] = 1;
    }
    const struct mapping mapping = look_at(large);
    CHECK_EQUAL(mapping.huge, 0);
    CHECK(mapping.is_hugeless);
    CHECK(mapping.resident <= 16 * page_size());
    CHECK_EQUAL(look_at_ours().open_huge_allowed, 0);
}

static void no_huge_pages_even_if_always(void **state)
{
    char before[128] = "";
    (void)state;
    const int file = open(THP, O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, before, sizeof(before) - 1) <= 0 || geteuid() != 0) {
        skip_test("needs root, and a kernel with transparent huge pages");
    }
    close(file);
    char *chosen = strchr(before, '[');
    assert_non_null(chosen);
    *strchr(chosen, ']') = '\0';
    if (!set_huge_pages("always")) {
        skip_test("transparent huge pages cannot be set here");
    }
    struct child_end end;
    child_run(&end, touch_one_byte_of_each_page_in_2_MiB, NULL);
    assert_true(set_huge_pages(chosen + 1));
    if (end.exit_status == SKIP_EXIT_CODE) {
        skip_test(end.text);
    }
    assert_string_equal(end.text, "");
    assert_int_equal(end.signal, 0);
    assert_int_equal(end.exit_status, CHILD_RETURNED);
}

int seccomp_advice(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(no_DONTDUMP_no_memory),
        IN_CHILD(no_WIPEONFORK_no_memory_under_wipe),
        IN_CHILD(no_DONTFORK_no_memory_under_drop),
        IN_CHILD(DONTDUMP_taken_away_later),
        IN_CHILD(best_effort_goes_on_dumpable_and_counts),
        IN_CHILD(best_effort_goes_on_without_WIPEONFORK),
        IN_CHILD(no_locks_no_memory),
        IN_CHILD(EAGAIN_is_ENOMEM),
        IN_CHILD(locks_taken_away_later),
        IN_CHILD(locks_taken_away_in_the_fall_back),
        cmocka_unit_test(best_effort_goes_on_unlocked_and_says_so_once),
        IN_CHILD(a_DONTNEED_LOCKED_that_lies_is_seen),
        cmocka_unit_test(no_huge_pages_even_if_always),
    };
    return cmocka_run_group_tests_name("refusals that on_lock_failure decides", tests, NULL, NULL);
}
