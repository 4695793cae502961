/* SPDX-License-Identifier: ISC */
/* secure_init: the struct, its sizes and values, and what each option does. */
#include <errno.h>
#include <secure_malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/child.h"
#include "api/look.h"
#include "api/options.h"
#include "api/well.h"
#include "support/limits.h"

static const struct secure_options defaults = SECURE_OPTIONS_INIT;

/* ---- the struct ---- */

static void a_struct_that_is_too_small_is_EINVAL(void *context)
{
    struct secure_options options = defaults;
    (void)context;
    options.struct_size = 0;
    CHECK_FAILS(secure_init(&options), -1, EINVAL);
    options.struct_size = sizeof(options) - 1;
    CHECK_FAILS(secure_init(&options), -1, EINVAL);
    CHECK(secure_init(NULL) == 0); /* nothing has happened */
}

/* A program that was compiled against a later header. */
static void a_larger_struct_is_served(void *context)
{
    struct {
        struct secure_options known;
        uint64_t later[4];
    } options = {defaults, {7, 7, 7, 7}};
    (void)context;
    options.known.struct_size = sizeof(options);
    options.known.reserve = 3 * page_size();
    CHECK(secure_init(&options.known) == 0);
    CHECK(stats_now().locked_bytes >= 3 * page_size());
    CHECK(secure_init(&options.known) == 0);
}

static void values_that_are_none_are_EINVAL(void *context)
{
    static const size_t fields[] = {offsetof(struct secure_options, lock),
                                    offsetof(struct secure_options, on_lock_failure),
                                    offsetof(struct secure_options, on_fork),
                                    offsetof(struct secure_options, canary),
                                    offsetof(struct secure_options, check_free),
                                    offsetof(struct secure_options, stats)};
    static const uint32_t bad[] = {3, 100, UINT32_MAX};
    (void)context;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        for (size_t j = 0; j < 3; j++) {
            struct secure_options options = defaults;
            memcpy((char *)&options + fields[i], &bad[j], sizeof(bad[j]));
            CHECK_FAILS(secure_init(&options), -1, EINVAL);
        }
    }
    use_heap(2000);
}

static void check_already(void)
{
    struct secure_options other[8];
    for (int i = 0; i < 8; i++) {
        other[i] = defaults;
    }
    other[0].lock = SECURE_LOCK_PROCESS;
    other[1].on_lock_failure = SECURE_LOCK_BEST_EFFORT;
    other[2].on_fork = SECURE_FORK_WIPE;
    other[3].canary = 0;
    other[4].purge_limit = 0;
    other[5].lock_limit = 1 << 20;
    other[6].reserve = 4096;
    other[7].report_context = other;
    for (int i = 0; i < 8; i++) {
        CHECK_FAILS(secure_init(&other[i]), -1, EALREADY);
    }
    CHECK(secure_init(NULL) == 0);
    CHECK(secure_init(&defaults) == 0);
}

static void a_second_init_must_change_nothing(void *context)
{
    (void)context;
    CHECK(secure_init(NULL) == 0);
    check_already();
    use_heap(2000);
    check_already();
}

static void an_allocation_is_an_init(void *context)
{
    (void)context;
    CHECK(secure_malloc(1) != NULL);
    check_already();
}

static void the_same_choice_again_is_fine(void *context)
{
    struct secure_options options = defaults;
    (void)context;
    options.on_fork = SECURE_FORK_WIPE;
    options.lock_limit = 1 << 20;
    CHECK(secure_init(&options) == 0);
    CHECK(secure_init(&options) == 0);
    CHECK_FAILS(secure_init(NULL), -1, EALREADY);
}

/* ---- what each does ---- */

static void canary_off_looks_at_no_edge(void *context)
{
    struct secure_options options = defaults;
    (void)context;
    options.canary = 0;
    CHECK(secure_init(&options) == 0);
    volatile char *pointer = unknown(secure_malloc(30));
    pointer[30] = 1; /* within the slot */
    secure_free(unknown((void *)(uintptr_t)pointer));
    check_well();
    use_heap(5000); /* and what was written there is wiped all the same */
}

static void check_free_off_looks_at_no_free_memory(void *context)
{
    struct secure_options options = defaults;
    (void)context;
    options.check_free = 0;
    CHECK(secure_init(&options) == 0);
    char *pointer = unknown(secure_malloc(30));
    secure_free(pointer);
    *(volatile char *)pointer = 1;
    CHECK(secure_malloc(30) != NULL);
}

static void burst(size_t count)
{
    static char *all[400];
    CHECK(count <= 400);
    for (size_t i = 0; i < count; i++) {
        all[i] = secure_malloc(1000);
        CHECK(all[i] != NULL);
        memset(all[i], 1, 1000);
    }
    for (size_t i = 0; i < count; i++) {
        secure_free(all[i]);
    }
}

static void purge_limit_0_keeps_nothing(void *context)
{
    struct secure_options options = defaults;
    (void)context;
    child_needs_to_lock(1024);
    options.purge_limit = 0;
    CHECK(secure_init(&options) == 0);
    burst(400);
    secure_free(secure_malloc(100000));
    CHECK(stats_now().purges > 0);
    CHECK(stats_now().dirty_bytes <=
          16 * page_size()); /* a slab that was emptied by the last free */
    check_well();
}

static void a_huge_purge_limit_keeps_all(void *context)
{
    struct secure_options options = defaults;
    (void)context;
    child_needs_to_lock(1024);
    options.purge_limit = (uint64_t)1 << 62;
    CHECK(secure_init(&options) == 0);
    burst(400);
    secure_free(secure_malloc(100000));
    CHECK_EQUAL(stats_now().purges, 0);
    CHECK(stats_now().dirty_bytes >= 300000);
    CHECK(secure_purge() >= 300000);
}

static void the_default_purge_limit_bounds_a_burst(void *context)
{
    (void)context;
    child_needs_to_lock(1024);
    burst(400);
    CHECK(stats_now().purges > 0);
    CHECK(stats_now().dirty_bytes <= 128 << 10);
}

static void lock_limit_is_kept(void *context)
{
    struct secure_options options = defaults;
    uint64_t count = 0;
    (void)context;
    options.lock_limit = 8 * page_size();
    CHECK(secure_init(&options) == 0);
    while (secure_malloc(100) != NULL) {
        count++;
        CHECK(count < 10000);
    }
    CHECK_EQUAL(errno, ENOMEM);
    CHECK(count >= 100);
    CHECK_FAILS(secure_malloc_guarded(1), NULL, ENOMEM);
    CHECK_FAILS(secure_malloc(20 * page_size()), NULL, ENOMEM);
    CHECK(stats_now().locked_bytes <= 8 * page_size());
    check_well();
}

static void reserve_is_locked_at_once(void *context)
{
    struct secure_options options = defaults;
    (void)context;
    options.reserve = 10 * page_size() + 1;
    CHECK(secure_init(&options) == 0);
    const uint64_t locked = stats_now().locked_bytes;
    CHECK(locked >= options.reserve);
    use_heap(1000); /* what was set aside is what is used */
    CHECK_EQUAL(stats_now().locked_bytes, locked);
    check_well();
}

static void check_reserve_fails(uint64_t reserve)
{
    struct secure_options options = defaults;
    options.reserve = reserve;
    CHECK_FAILS(secure_init(&options), -1, ENOMEM);
    CHECK_EQUAL(look_at_ours().locked_bytes, 0); /* nothing half done */
    CHECK_EQUAL(look_at_ours().open_unlocked, 0);
}

static void a_reserve_that_cannot_be_had_is_ENOMEM(void *context)
{
    (void)context;
    CHECK(limits_set_memlock(16 * page_size()) == 0);
    check_reserve_fails(17 * page_size());
    check_reserve_fails((uint64_t)1 << 40);
    check_reserve_fails(UINT64_MAX);
    struct secure_options options = defaults;
    options.lock_limit = 4 * page_size();
    options.reserve = 5 * page_size();
    CHECK_FAILS(secure_init(&options), -1, ENOMEM);
    use_heap(2000); /* with the defaults, as if nothing had been asked */
    check_well();
}

static void a_reserve_without_any_right_is_EPERM(void *context)
{
    struct secure_options options = defaults;
    (void)context;
    CHECK(limits_set_memlock(0) == 0);
    options.reserve = page_size();
    CHECK_FAILS(secure_init(&options), -1, EPERM);
}

int options_init(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(a_struct_that_is_too_small_is_EINVAL),
        IN_CHILD(a_larger_struct_is_served),
        IN_CHILD(values_that_are_none_are_EINVAL),
        IN_CHILD(a_second_init_must_change_nothing),
        IN_CHILD(an_allocation_is_an_init),
        IN_CHILD(the_same_choice_again_is_fine),
        IN_CHILD(canary_off_looks_at_no_edge),
        IN_CHILD(check_free_off_looks_at_no_free_memory),
        IN_CHILD(purge_limit_0_keeps_nothing),
        IN_CHILD(a_huge_purge_limit_keeps_all),
        IN_CHILD(the_default_purge_limit_bounds_a_burst),
        IN_CHILD(lock_limit_is_kept),
        IN_CHILD(reserve_is_locked_at_once),
        IN_CHILD(a_reserve_that_cannot_be_had_is_ENOMEM),
        IN_CHILD(a_reserve_without_any_right_is_EPERM),
    };
    return cmocka_run_group_tests_name("init", tests, NULL, NULL);
}
