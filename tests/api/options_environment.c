/* SPDX-License-Identifier: ISC */
/* SECURE_MALLOC_OPTIONS: it may tune and tighten, never loosen; what it may not do is told. */
#include <errno.h>
#include <secure_malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/child.h"
#include "api/look.h"
#include "api/options.h"
#include "api/well.h"
#include "support/skip.h"

/* ---- what it may not do ---- */

#define IGNORED(entry, reason)                                                                     \
    "secure_malloc: SECURE_MALLOC_OPTIONS: ignored \"" entry "\": " reason "\n"
#define LOOSER   "the environment may not loosen what the program chose"
#define HANDS    "only the program may set this"
#define NO_VALUE "not a value of this option"

/* The program's choices: the safest, so that everything else is looser. */
static const struct secure_options strict = {.struct_size = sizeof(struct secure_options),
                                             .on_fork = SECURE_FORK_DROP,
                                             .canary = 1,
                                             .check_free = 1,
                                             .purge_limit = SECURE_PURGE_DEFAULT,
                                             .lock_limit = 64 << 10};

struct environment {
    const char *text;
    const char *said;
};

static const struct environment environments[] = {
    {"", ""},
    {",", ""},
    {"on_fork=drop,on_lock_failure=fail,lock_limit=64k,lock=range", ""},
    {"purge_limit=0,reserve=4k", ""},
    {"lock_limit=32K,purge_limit=1M", ""},
    {"purge_limit=18446744073709551615", ""},
    {"on_fork=keep", IGNORED("on_fork=keep", LOOSER)},
    {"on_fork=wipe", IGNORED("on_fork=wipe", LOOSER)},
    {"on_lock_failure=best-effort", IGNORED("on_lock_failure=best-effort", LOOSER)},
    {"lock_limit=65k", IGNORED("lock_limit=65k", LOOSER)},
    {"lock_limit=0", IGNORED("lock_limit=0", LOOSER)},
    {"canary=off", IGNORED("canary=off", HANDS)},
    {"canary=on", IGNORED("canary=on", HANDS)},
    {"check_free=off", IGNORED("check_free=off", HANDS)},
    {"lock=everything", IGNORED("lock=everything", NO_VALUE)},
    {"on_fork=", IGNORED("on_fork=", NO_VALUE)},
    {"on_fork=0", IGNORED("on_fork=0", NO_VALUE)},
    {"stats=on", IGNORED("stats=on", NO_VALUE)},
    {"reserve=", IGNORED("reserve=", NO_VALUE)},
    {"reserve=-1", IGNORED("reserve=-1", NO_VALUE)},
    {"reserve=4kk", IGNORED("reserve=4kk", NO_VALUE)},
    {"reserve=k", IGNORED("reserve=k", NO_VALUE)},
    {"reserve=0x10", IGNORED("reserve=0x10", NO_VALUE)},
    {"purge_limit=18446744073709551616", IGNORED("purge_limit=18446744073709551616", NO_VALUE)},
    {"purge_limit=17179869184G", IGNORED("purge_limit=17179869184G", NO_VALUE)},
    {"colour=red", IGNORED("colour=red", "no such option")},
    {"report=1", IGNORED("report=1", "no such option")},
    {"ON_FORK=drop", IGNORED("ON_FORK=drop", "no such option")},
    {" on_fork=drop", IGNORED(" on_fork=drop", "no such option")},
    {"on_fork", IGNORED("on_fork", "not of the form name=value")},
    {"=drop", IGNORED("=drop", "no such option")},
    {"a\033[1mb\n=1", IGNORED("a?[1mb?=1", "no such option")}, /* no terminal's tricks */
    {"on_fork=keep,reserve=8k,colour=red,lock_limit=1G",
     IGNORED("on_fork=keep", LOOSER) IGNORED("colour=red", "no such option")
         IGNORED("lock_limit=1G", LOOSER)},
};

static void start_with(void *context)
{
    const struct environment *environment = context;
    CHECK(setenv("SECURE_MALLOC_OPTIONS", environment->text, 1) == 0);
    CHECK(secure_init(&strict) == 0);
    CHECK(secure_init(&strict) == 0); /* it is the program's choice that is compared */
    CHECK(secure_malloc(1) != NULL);
    CHECK_EQUAL(stats_now().on_lock_failure, SECURE_LOCK_FAIL);
    CHECK(stats_now().locked_bytes <= 64 << 10);
}

static void what_is_refused_is_told_in_a_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(environments) / sizeof(environments[0]); i++) {
        struct environment environment = environments[i];
        struct child_end end;
        child_run(&end, start_with, &environment);
        assert_string_equal(end.text, environment.said);
        assert_int_equal(end.signal, 0);
        assert_int_equal(end.exit_status, CHILD_RETURNED);
    }
}

/* A first try that failed has said it already. */
static void start_twice(void *context)
{
    struct secure_options options = strict;
    (void)context;
    options.reserve = 65 << 10;
    CHECK(setenv("SECURE_MALLOC_OPTIONS", "colour=red", 1) == 0);
    CHECK_FAILS(secure_init(&options), -1, ENOMEM);
    CHECK(secure_init(&strict) == 0);
}

static void it_is_told_once(void **state)
{
    struct child_end end;
    (void)state;
    child_run(&end, start_twice, NULL);
    assert_string_equal(end.text, IGNORED("colour=red", "no such option"));
    assert_int_equal(end.exit_status, CHILD_RETURNED);
}

/* ---- what it may ---- */

static void with(const char *text)
{
    CHECK(setenv("SECURE_MALLOC_OPTIONS", text, 1) == 0);
}

static void on_fork_may_be_tightened(void *context)
{
    (void)context;
    with("on_fork=wipe");
    char *pointer = secure_malloc(32);
    memset(pointer, 1, 32);
    const pid_t child = fork();
    if (child == 0) {
        CHECK(pointer[0] == 0 && pointer[31] == 0);
        child_exit(0);
    }
    child_wait(child);
    CHECK(pointer[0] == 1);
}

static void lock_limit_may_be_lowered(void *context)
{
    (void)context;
    with("lock_limit=16k");
    CHECK_FAILS(secure_malloc(5 * 16384), NULL, ENOMEM);
    while (secure_malloc(64) != NULL) {
    }
    CHECK(stats_now().locked_bytes <= 16 << 10);
}

static void on_lock_failure_may_be_tightened(void *context)
{
    struct secure_options options = SECURE_OPTIONS_INIT;
    (void)context;
    with("on_lock_failure=fail,lock_limit=16k");
    options.on_lock_failure = SECURE_LOCK_BEST_EFFORT;
    CHECK(secure_init(&options) == 0);
    CHECK_EQUAL(stats_now().on_lock_failure, SECURE_LOCK_FAIL);
    CHECK_FAILS(secure_malloc(5 * 16384), NULL, ENOMEM);
}

static void reserve_and_purge_limit_may_be_set(void *context)
{
    (void)context;
    child_needs_to_lock(256);
    with("reserve=128k,purge_limit=100G");
    CHECK(secure_init(NULL) == 0);
    CHECK(stats_now().locked_bytes >= 128 << 10);
    secure_free(secure_malloc(60000));
    CHECK_EQUAL(stats_now().purges, 0);
    CHECK(stats_now().dirty_bytes > 0);
}

static void lock_may_be_tightened(void *context)
{
    (void)context;
    child_needs_to_lock_the_process();
    with("lock=process");
    CHECK(secure_init(NULL) == 0);
    CHECK_EQUAL(stats_now().lock, SECURE_LOCK_PROCESS);
}

/* ---- the report at exit, for which the program must come to its end ---- */

static const char SECRET[] = "hunter2-hunter2";

void options_started_again(int count, char **arguments)
{
    if (count != 2 || strcmp(arguments[1], "end") != 0) {
        return;
    }
    char *first = secure_strdup(SECRET);
    char *second = secure_malloc(100000);
    secure_free(secure_malloc(32));
    exit(first != NULL && second != NULL ? 0 : 1);
}

static void start_again(void *context)
{
    const char *text = context;
    CHECK(setenv("SECURE_MALLOC_OPTIONS", text, 1) == 0);
    char program[] = "/proc/self/exe";
    char end[] = "end";
    char *const arguments[] = {program, end, NULL};
    child_needs_to_lock(256);
    execv(program, arguments);
    child_check_failed("the program can be started again", __FILE__, __LINE__);
}

static void stats_exit_reports_numbers_alone(void **state)
{
    char on[] = "stats=exit";
    struct child_end end;
    (void)state;
    child_run(&end, start_again, on);
    if (end.exit_status == SKIP_EXIT_CODE) {
        skip_test(end.text);
    }
    assert_int_equal(end.signal, 0);
    assert_int_equal(end.exit_status, 0);
    assert_true(child_said(&end, "secure_malloc: stats: live_count 2\n"));
    assert_true(child_said(&end, "secure_malloc: stats: live_bytes 100016\n"));
    assert_true(child_said(&end, "secure_malloc: stats: unlocked_bytes 0\n"));
    assert_true(child_said(&end, "secure_malloc: stats: locked_bytes "));
    assert_true(child_said(&end, "secure_malloc: stats: purges "));
    assert_null(strstr(end.text, "0x"));
    assert_null(strstr(end.text, "hunter2"));
}

static void stats_off_reports_nothing(void **state)
{
    char off[] = "stats=off";
    struct child_end end;
    (void)state;
    child_run(&end, start_again, off);
    if (end.exit_status == SKIP_EXIT_CODE) {
        skip_test(end.text);
    }
    assert_string_equal(end.text, "");
    assert_int_equal(end.exit_status, 0);
}

int options_environment(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_refused_is_told_in_a_line),
        cmocka_unit_test(it_is_told_once),
        IN_CHILD(on_fork_may_be_tightened),
        IN_CHILD(lock_limit_may_be_lowered),
        IN_CHILD(on_lock_failure_may_be_tightened),
        IN_CHILD(reserve_and_purge_limit_may_be_set),
        IN_CHILD(lock_may_be_tightened),
        cmocka_unit_test(stats_exit_reports_numbers_alone),
        cmocka_unit_test(stats_off_reports_nothing),
    };
    return cmocka_run_group_tests_name("environment", tests, NULL, NULL);
}
