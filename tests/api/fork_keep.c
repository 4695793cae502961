/* SPDX-License-Identifier: ISC */
/* on_fork=keep: the child has the secrets, locked again. */
#include <errno.h>
#include <secure_malloc.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "api/child.h"
#include "api/fork.h"
#include "api/look.h"
#include "api/well.h"

/* ---- one thread ---- */

static void see_the_same_and_go_on(void *context)
{
    const struct sorts *sorts = context;
    sorts_check(sorts);
    check_well(); /* also: all of it is locked again */
    use_heap(fork_use_size());
    sorts_check(sorts);
    sorts_give(sorts);
    use_heap(fork_use_size());
    check_well();
    CHECK_EQUAL(stats_now().live_count, 0);
    CHECK_EQUAL(stats_now().live_bytes, 0);
}

static void child_has_the_secrets_locked(void *context)
{
    struct sorts sorts;
    (void)context;
    child_needs_to_lock(256);
    sorts_take(&sorts);
    for (int i = 0; i < 3; i++) {
        in_fork(see_the_same_and_go_on, &sorts);
        sorts_check(&sorts);
        use_heap(fork_use_size());
    }
    CHECK_EQUAL(stats_now().forks, 3);
    sorts_give(&sorts);
    check_well();
}

static void compare_counters(void *context)
{
    const struct secure_stats *parent = context;
    const struct secure_stats mine = stats_now();
    CHECK_EQUAL(mine.live_count, parent->live_count);
    CHECK_EQUAL(mine.live_bytes, parent->live_bytes);
    CHECK_EQUAL(mine.all_slots, parent->all_slots);
    CHECK_EQUAL(mine.locked_bytes, parent->locked_bytes);
    CHECK_EQUAL(mine.unlocked_bytes, 0);
    CHECK_EQUAL(mine.forks, 1);
    CHECK_EQUAL(mine.relock_failures, 0);
}

static void counters_go_on_in_the_child(void *context)
{
    struct sorts sorts;
    (void)context;
    child_needs_to_lock(256);
    sorts_take(&sorts);
    struct secure_stats stats = stats_now();
    in_fork(compare_counters, &stats);
}

static void fork_again(void *context)
{
    in_fork(see_the_same_and_go_on, context);
    see_the_same_and_go_on(context);
}

static void a_childs_child_is_one_too(void *context)
{
    struct sorts sorts;
    (void)context;
    child_needs_to_lock(256);
    sorts_take(&sorts);
    in_fork(fork_again, &sorts);
    sorts_check(&sorts);
}

static void write_and_leave(void *context)
{
    const struct sorts *sorts = context;
    for (size_t i = 0; i < SORTS; i++) {
        memset(sorts->bytes[i], 0xee, sorts->sizes[i]);
    }
    secure_zeroize();
    sorts_give(sorts);
    (void)secure_trim();
}

static void child_does_nothing_to_the_parent(void *context)
{
    struct sorts sorts;
    (void)context;
    child_needs_to_lock(256);
    sorts_take(&sorts);
    in_fork(write_and_leave, &sorts);
    sorts_check(&sorts);
    sorts_give(&sorts);
}

static void use_it_first(void *context)
{
    (void)context;
    use_heap(fork_use_size());
    check_well();
}

static void fork_before_the_first_use(void *context)
{
    (void)context;
    in_fork(use_it_first, NULL);
    use_it_first(NULL);
}

/* ---- guarded and protected ---- */

static void see_the_same_protection(void *context)
{
    static const char *const shown[] = {"---p", "r--p", "rw-p"};
    char **guarded = context;
    for (int access = SECURE_NO_ACCESS; access <= SECURE_READ_WRITE; access++) {
        const struct mapping mapping = look_at(guarded[access]);
        CHECK(memcmp(mapping.access, shown[access], 4) == 0);
        CHECK(mapping.is_locked);
        CHECK(secure_protect(guarded[access], SECURE_READ_WRITE) == 0);
        CHECK(guarded[access][0] == 7 && guarded[access][99] == 7);
        CHECK(secure_protect(guarded[access], SECURE_NO_ACCESS) == 0);
    }
    check_well();
    for (int access = SECURE_NO_ACCESS; access <= SECURE_READ_WRITE; access++) {
        secure_free_sized(guarded[access], 100);
    }
    check_well();
}

static void protection_is_inherited(void *context)
{
    char *guarded[3];
    (void)context;
    for (int access = SECURE_NO_ACCESS; access <= SECURE_READ_WRITE; access++) {
        guarded[access] = secure_malloc_guarded(100);
        CHECK(guarded[access] != NULL);
        memset(guarded[access], 7, 100);
        CHECK(secure_protect(guarded[access], (enum secure_access)access) == 0);
    }
    in_fork(see_the_same_protection, guarded);
    see_the_same_protection(guarded);
}

/* ---- the process lock ---- */

static void see_the_process_locked(void *context)
{
    (void)context;
    CHECK_EQUAL(stats_now().lock, SECURE_LOCK_PROCESS);
    static char in_data[16];
    CHECK(look_at(in_data).is_locked);
    use_heap(fork_use_size());
    check_well();
}

static void process_lock_is_taken_again(void *context)
{
    (void)context;
    child_needs_to_lock_the_process();
    CHECK(secure_lock_process() == 0);
    use_heap(fork_use_size());
    in_fork(see_the_process_locked, NULL);
    see_the_process_locked(NULL);
}

int fork_keep(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(child_has_the_secrets_locked), IN_CHILD(counters_go_on_in_the_child),
        IN_CHILD(a_childs_child_is_one_too),    IN_CHILD(child_does_nothing_to_the_parent),
        IN_CHILD(fork_before_the_first_use),    IN_CHILD(protection_is_inherited),
        IN_CHILD(process_lock_is_taken_again),
    };
    return cmocka_run_group_tests_name("keep", tests, NULL, NULL);
}
