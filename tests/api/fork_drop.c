/* SPDX-License-Identifier: ISC */
/* on_fork=drop: the child has no mapping, and an empty heap of its own. */
#include <secure_malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/child.h"
#include "api/fork.h"
#include "api/well.h"

static void go_on_without(const struct sorts *sorts)
{
    sorts_give(sorts); /* does nothing, whatever the size */
    secure_free(sorts->bytes[1]);
    struct sorts mine;
    sorts_take(&mine);
    for (size_t i = 0; i < SORTS; i++) {
        for (size_t j = 0; j < SORTS; j++) {
            CHECK(mine.bytes[i] != sorts->bytes[j]);
        }
    }
    sorts_give(sorts);
    sorts_check(&mine);
    sorts_give(&mine);
    use_heap(fork_use_size());
    (void)secure_trim();
    secure_zeroize();
    check_well();
}

static void forget_and_go_on(void *context)
{
    CHECK_EQUAL(stats_now().live_count, 0);
    CHECK_EQUAL(stats_now().live_bytes, 0);
    CHECK_EQUAL(stats_now().all_slots, 0);
    CHECK_EQUAL(stats_now().locked_bytes, 0);
    check_well();
    go_on_without(context);
}

static void drop_leaves_an_empty_heap_that_works(void *context)
{
    struct sorts sorts;
    (void)context;
    child_needs_to_lock(256);
    init_on_fork(SECURE_FORK_DROP, SECURE_LOCK_FAIL);
    sorts_take(&sorts);
    for (int i = 0; i < 3; i++) {
        in_fork(forget_and_go_on, &sorts);
        sorts_check(&sorts);
    }
    sorts_give(&sorts);
    check_well();
}

static void fork_again_under_drop(void *context)
{
    in_fork(forget_and_go_on, context);
    struct sorts mine;
    sorts_take(&mine);
    in_fork(forget_and_go_on, &mine);
    sorts_check(&mine);
    sorts_give(&mine);
    go_on_without(context);
}

static void drop_holds_for_a_childs_child(void *context)
{
    struct sorts sorts;
    (void)context;
    child_needs_to_lock(256);
    init_on_fork(SECURE_FORK_DROP, SECURE_LOCK_FAIL);
    sorts_take(&sorts);
    in_fork(fork_again_under_drop, &sorts);
    sorts_check(&sorts);
}

/* ---- what is fatal with an old pointer; each in a child that has lost it ---- */

struct old_use {
    const char *name;
    void (*use)(void *pointer);
    const char *said; /* NULL: SIGSEGV */
};

static void read_it(void *pointer)
{
    (void)*(volatile char *)pointer;
}

static void write_it(void *pointer)
{
    *(volatile char *)pointer = 1;
}

static void realloc_it(void *pointer)
{
    (void)secure_realloc(pointer, 100);
}

static void ask_its_size(void *pointer)
{
    (void)secure_usable_size(pointer);
}

static void protect_it(void *pointer)
{
    (void)secure_protect(pointer, SECURE_READ_ONLY);
}

static const struct old_use old_uses[] = {
    {"read", read_it, NULL},
    {"write", write_it, NULL},
    {"realloc", realloc_it, "invalid pointer"},
    {"usable_size", ask_its_size, "invalid pointer"},
    {"protect", protect_it, "invalid pointer"},
};

struct old_case {
    const struct old_use *use;
    bool guarded;
};

static void use_what_was_dropped(void *context)
{
    const struct old_case *old = context;
    char line[128] = "";
    init_on_fork(SECURE_FORK_DROP, SECURE_LOCK_FAIL);
    char *pointer = unknown(old->guarded ? secure_malloc_guarded(64) : secure_malloc(64));
    if (old->use->said != NULL) {
        snprintf(line, sizeof(line), "secure_malloc: fatal: %s: pointer 0x%llx, size 0\n",
                 old->use->said, (unsigned long long)(uintptr_t)pointer);
    }
    const pid_t child = fork();
    if (child == 0) {
        old->use->use(pointer);
        child_exit(9);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK_EQUAL(WTERMSIG(status), old->use->said != NULL ? SIGABRT : SIGSEGV);
    dprintf(STDERR_FILENO, "expected %s", line); /* the runner compares it with what was said */
}

static void dropped_pointers_are_of_no_use(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(old_uses) / sizeof(old_uses[0]); i++) {
        for (int guarded = 0; guarded < 2; guarded++) {
            struct old_case old = {&old_uses[i], guarded != 0};
            struct child_end end;
            child_run(&end, use_what_was_dropped, &old);
            char *expected = strstr(end.text, "expected ");
            assert_non_null(expected);
            assert_int_equal(end.exit_status, CHILD_RETURNED);
            const size_t said = (size_t)(expected - end.text);
            expected += strlen("expected ");
            assert_int_equal(said, strlen(expected));
            assert_memory_equal(end.text, expected, said);
        }
    }
}

static void drop_while_threads_allocate(void *context)
{
    (void)context;
    fork_under_load(SECURE_FORK_DROP, forget_and_go_on);
}

int fork_drop(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(drop_leaves_an_empty_heap_that_works),
        IN_CHILD(drop_holds_for_a_childs_child),
        cmocka_unit_test(dropped_pointers_are_of_no_use),
        IN_CHILD(drop_while_threads_allocate),
    };
    return cmocka_run_group_tests_name("drop", tests, NULL, NULL);
}
