/* SPDX-License-Identifier: ISC */
/* RLIMIT_MEMLOCK: none, little, much, no limit; lowered and raised while running. */
#include <errno.h>
#include <secure_malloc.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/child.h"
#include "api/look.h"
#include "api/well.h"
#include "fault/limits.h"
#include "support/limits.h"
#include "support/skip.h"

static const char NOTICE[] = "secure_malloc: memory could not be locked; it is used unlocked "
                             "(on_lock_failure=best-effort)\n";

static rlim_t pages(size_t count)
{
    return (rlim_t)(count * page_size());
}

/* ---- a limit of 0 ---- */

static void nothing_may_be_locked(void *context)
{
    (void)context;
    CHECK(limits_set_memlock(0) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK_FAILS(secure_malloc(32), NULL, EPERM);
        CHECK_FAILS(secure_malloc(100000), NULL, EPERM);
        CHECK_FAILS(secure_calloc(4, 8), NULL, EPERM);
        CHECK_FAILS(secure_realloc(NULL, 32), NULL, EPERM);
        CHECK_FAILS(secure_aligned_alloc(4096, 1), NULL, EPERM);
        CHECK_FAILS(secure_malloc_guarded(32), NULL, EPERM);
        CHECK_FAILS(secure_strdup("a"), NULL, EPERM);
    }
    CHECK_EQUAL(stats_now().live_count, 0);
    check_well();
}

static void use_all_unlocked(void *context)
{
    (void)context;
    CHECK(limits_set_memlock(0) == 0);
    limits_init(SECURE_LOCK_BEST_EFFORT);
    use_heap(300000);
    char *live = secure_malloc(50);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 50);
    check_well_but_unlocked();
    CHECK(stats_now().unlocked_bytes > 0 && stats_now().lock_failures > 0);
    CHECK_EQUAL(stats_now().on_lock_failure, SECURE_LOCK_BEST_EFFORT);
    secure_free(live);
    use_heap(300000);
}

static void check_notice(child_body *body)
{
    struct child_end end;
    child_run(&end, body, NULL);
    assert_string_equal(end.text, NOTICE);
    assert_int_equal(end.signal, 0);
    assert_int_equal(end.exit_status, CHILD_RETURNED);
}

static void best_effort_works_with_a_limit_of_0_and_says_so_once(void **state)
{
    (void)state;
    check_notice(use_all_unlocked);
}

/* ---- a small limit ---- */

/* Counted in pages: 16 of them hold 1,100 keys where they are of 4 KiB. */
static void a_limit_of_16_pages_holds_1100_keys(void *context)
{
    (void)context;
    CHECK(limits_set_memlock(pages(16)) == 0);
    const size_t keys = limits_fill();
    CHECK_EQUAL(errno, ENOMEM);
    CHECK(keys >= 1100);
    check_well();
    limits_empty();
    CHECK(limits_fill() >= 1100); /* again: nothing was lost */
    limits_empty();
    check_well();
}

/* Each class that is in use pins a slab, so the more classes there are, the less goes in. */
static void sixteen_pages_hold_a_sixth_of_mixed_sizes(void *context)
{
    enum { ROUNDS = 40, LEAST = 256, MOST = 1024, BUFFERS_MAX = 4096 };
    static char *all[BUFFERS_MAX];
    uint32_t random = 1;
    size_t bytes = 0;
    (void)context;
    CHECK(limits_set_memlock(pages(16)) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        size_t count = 0;
        for (; count < BUFFERS_MAX; count++) {
            random = random * 1103515245 + 12345;
            const size_t size = LEAST + (random >> 16) % (MOST - LEAST + 1);
            all[count] = secure_malloc(size);
            if (all[count] == NULL) {
                break;
            }
            bytes += size;
        }
        CHECK(count < BUFFERS_MAX);
        while (count > 0) {
            secure_free(all[--count]);
        }
    }
    CHECK(bytes / ROUNDS >= pages(16) / 6);
    check_well();
}

/* Keys of one size must not keep those of another out: the budget goes where it is needed. */
static void budget_moves_between_sizes(void *context)
{
    (void)context;
    CHECK(limits_set_memlock(pages(16)) == 0);
    for (int round = 0; round < 3; round++) {
        CHECK(limits_fill() >= 1100);
        limits_empty();
        char *all[12];
        for (int i = 0; i < 12; i++) {
            all[i] = secure_malloc(page_size() - 100);
            CHECK(i >= 7 || all[i] != NULL);
        }
        check_well();
        for (int i = 0; i < 12; i++) {
            secure_free(all[i]);
        }
        char *large = secure_malloc(10 * page_size());
        CHECK(large != NULL);
        memset(large, 1, 10 * page_size());
        check_well();
        secure_free(large);
        char *guarded[8];
        for (int i = 0; i < 8; i++) {
            guarded[i] = secure_malloc_guarded(100);
            CHECK(guarded[i] != NULL);
        }
        for (int i = 0; i < 8; i++) {
            secure_free(guarded[i]);
        }
    }
}

static void realloc_at_the_limit_leaves_the_buffer_alone(void *context)
{
    (void)context;
    CHECK(limits_set_memlock(pages(16)) == 0);
    char *small = secure_malloc(100);
    char *large = secure_malloc(5 * page_size());
    memset(small, 3, 100);
    memset(large, 4, 5 * page_size());
    (void)limits_fill();
    CHECK_FAILS(secure_realloc(small, 5 * page_size()), NULL, ENOMEM);
    CHECK_FAILS(secure_realloc(large, 50 * page_size()), NULL, ENOMEM);
    CHECK_FAILS(secure_malloc_guarded(1), NULL, ENOMEM);
    CHECK_EQUAL(secure_usable_size(small), 100);
    for (size_t i = 0; i < 5 * page_size(); i++) {
        CHECK(large[i] == 4 && (i >= 100 || small[i] == 3));
    }
    check_well();
    secure_free_sized(small, 100);
    secure_free_sized(large, 5 * page_size());
}

static void fill_beyond_the_limit(void *context)
{
    static char *all[4000];
    (void)context;
    CHECK(limits_set_memlock(pages(16)) == 0);
    limits_init(SECURE_LOCK_BEST_EFFORT);
    for (int i = 0; i < 4000; i++) {
        all[i] = secure_malloc(32);
        CHECK(all[i] != NULL);
    }
    CHECK(audit_now().unlocked_live_bytes > 0);
    CHECK(audit_now().unlocked_live_bytes < 4000 * 32); /* but the first ones are */
    check_well_but_unlocked();
    for (int i = 0; i < 4000; i++) {
        secure_free(all[i]);
    }
    (void)secure_trim();
    check_well_but_unlocked();
    CHECK_EQUAL(stats_now().live_count, 0);
}

static void best_effort_goes_on_beyond_the_limit(void **state)
{
    (void)state;
    check_notice(fill_beyond_the_limit);
}

/* ---- 8 MiB, and no limit ---- */

static void eight_MiB_are_used_up(void *context)
{
    (void)context;
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    if (!limits_has_ipc_lock() && limit.rlim_max < 8 << 20) {
        child_needs_to_lock(8192);
    }
    CHECK(limits_set_memlock(8 << 20) == 0);
    const size_t keys = limits_fill();
    CHECK_EQUAL(errno, ENOMEM);
    CHECK(keys >= (8 << 20) / 56);
    check_well();
    limits_empty();
    CHECK(secure_trim() >= 7 << 20);
    char *large = secure_malloc(7 << 20);
    CHECK(large != NULL);
    memset(large, 1, 7 << 20);
    check_well();
}

static void no_limit_is_none(void *context)
{
    (void)context;
    child_needs_to_lock(32768);
    char *large = secure_malloc(16 << 20);
    CHECK(large != NULL);
    memset(large, 1, 16 << 20);
    use_heap(600000);
    check_well();
}

/* ---- a limit that changes ---- */

static void lowered_while_running(void *context)
{
    (void)context;
    child_needs_to_lock(1024);
    char *kept = secure_malloc(200000);
    CHECK(kept != NULL);
    memset(kept, 5, 200000);
    use_heap(100000);
    CHECK(limits_set_memlock(pages(4)) == 0);
    CHECK_FAILS(secure_malloc(300000), NULL, ENOMEM);
    (void)limits_fill(); /* what is locked already may still be used */
    check_well();
    CHECK(kept[0] == 5 && kept[199999] == 5);
    limits_empty();
    secure_free_sized(kept, 200000);
    (void)secure_trim();
    CHECK(secure_malloc(32) != NULL);
    check_well();
}

static void raised_while_running(void *context)
{
    (void)context;
    child_needs_to_lock(1024);
    if (limits_has_ipc_lock()) {
        CHECK(limits_drop_ipc_lock() == 0);
    }
    const struct rlimit low = {pages(4), 1 << 20};
    const struct rlimit high = {1 << 20, 1 << 20};
    CHECK(setrlimit(RLIMIT_MEMLOCK, &low) == 0);
    const size_t keys = limits_fill();
    CHECK(setrlimit(RLIMIT_MEMLOCK, &high) == 0);
    CHECK(limits_fill() >= 10 * keys); /* asked again when it matters */
    check_well();
}

/* A daemon that loads its keys as root and drops its privileges. */
static void root_that_becomes_nobody(void *context)
{
    (void)context;
    CHECK(limits_set(RLIMIT_MEMLOCK, pages(16)) == 0);
    char *kept = secure_malloc(100 * page_size());
    CHECK(kept != NULL);
    memset(kept, 5, 100 * page_size());
    CHECK(limits_become_nobody() == 0);
    CHECK_FAILS(secure_malloc(200 * page_size()), NULL, ENOMEM);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 0);
    secure_free_sized(kept, 100 * page_size());
    CHECK(limits_fill() >= 1100);
    check_well();
}

static void privileges_dropped_while_running(void **state)
{
    (void)state;
    if (!limits_has_ipc_lock() || geteuid() != 0) {
        skip_test("only root can change users");
    }
    assert_survives(root_that_becomes_nobody);
}

static void unprivileged(void *context)
{
    (void)context;
    if (geteuid() == 0) {
        CHECK(limits_become_nobody() == 0);
    }
    CHECK(!limits_has_ipc_lock());
    CHECK(limits_set_memlock(pages(16)) == 0);
    CHECK(limits_fill() >= 1100);
    check_well();
    limits_empty();
    use_heap(3000);
    check_well();
}

/* limits_set_memlock drops the capability: that root is bound like everybody else. */
static void root_without_the_right_to_lock(void *context)
{
    (void)context;
    CHECK(limits_set_memlock(pages(16)) == 0);
    CHECK(!limits_has_ipc_lock());
    CHECK(limits_fill() >= 1100);
    CHECK(limits_fill() < 2000);
    check_well();
}

int limits_memlock(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(nothing_may_be_locked),
        cmocka_unit_test(best_effort_works_with_a_limit_of_0_and_says_so_once),
        IN_CHILD(a_limit_of_16_pages_holds_1100_keys),
        IN_CHILD(sixteen_pages_hold_a_sixth_of_mixed_sizes),
        IN_CHILD(budget_moves_between_sizes),
        IN_CHILD(realloc_at_the_limit_leaves_the_buffer_alone),
        cmocka_unit_test(best_effort_goes_on_beyond_the_limit),
        IN_CHILD(eight_MiB_are_used_up),
        IN_CHILD(no_limit_is_none),
        IN_CHILD(lowered_while_running),
        IN_CHILD(raised_while_running),
        cmocka_unit_test(privileges_dropped_while_running),
        IN_CHILD(unprivileged),
        IN_CHILD(root_without_the_right_to_lock),
    };
    return cmocka_run_group_tests_name("memlock", tests, NULL, NULL);
}
