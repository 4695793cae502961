/* SPDX-License-Identifier: ISC */
#include "policy/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "support/cmocka.h"

static struct secure_options by_default(void)
{
    struct secure_options options;
    memset(&options, 0xff, sizeof(options));
    options_default(&options);
    return options;
}

/* ---- the struct ---- */

static void report_nothing(const struct secure_report *report, void *context)
{
    (void)report;
    (void)context;
}

static void defaults_are_the_manual_s(void **state)
{
    (void)state;
    const struct secure_options options = by_default();
    assert_int_equal(options.struct_size, sizeof(options));
    assert_int_equal(options.lock, SECURE_LOCK_RANGE);
    assert_int_equal(options.on_lock_failure, SECURE_LOCK_FAIL);
    assert_int_equal(options.on_fork, SECURE_FORK_KEEP);
    assert_int_equal(options.canary, 1);
    assert_int_equal(options.check_free, 1);
    assert_int_equal(options.stats, SECURE_STATS_OFF);
    assert_int_equal(options.purge_limit, SECURE_PURGE_DEFAULT);
    assert_int_equal(options.lock_limit, 0);
    assert_int_equal(options.reserve, 0);
    assert_null(options.report);
    assert_null(options.report_context);
}

static void copy_is_the_same(void **state)
{
    (void)state;
    int context = 0;
    struct secure_options from = by_default();
    from.lock = SECURE_LOCK_PROCESS;
    from.on_lock_failure = SECURE_LOCK_BEST_EFFORT;
    from.on_fork = SECURE_FORK_DROP;
    from.canary = 0;
    from.check_free = 0;
    from.stats = SECURE_STATS_EXIT;
    from.purge_limit = 1;
    from.lock_limit = 2;
    from.reserve = UINT64_MAX;
    from.report = report_nothing;
    from.report_context = &context;
    struct secure_options to;
    assert_int_equal(options_copy(&to, &from), 0);
    assert_true(options_same(&to, &from));
    assert_int_equal(to.struct_size, sizeof(to));
}

static void struct_older_than_the_first_is_einval(void **state)
{
    (void)state;
    struct secure_options to;
    struct secure_options from = by_default();
    from.struct_size = sizeof(from) - 1;
    assert_int_equal(options_copy(&to, &from), -EINVAL);
    from.struct_size = 0;
    assert_int_equal(options_copy(&to, &from), -EINVAL);
}

static void newer_struct_is_served_as_far_as_it_is_known(void **state)
{
    (void)state;
    struct {
        struct secure_options options;
        unsigned char more[64];
    } from;
    struct {
        struct secure_options options;
        unsigned char behind[64];
    } to;
    memset(&from, 0xa5, sizeof(from));
    memset(&to, 0x5a, sizeof(to));
    options_default(&from.options);
    from.options.struct_size = sizeof(from);
    from.options.lock_limit = 7;
    assert_int_equal(options_copy(&to.options, &from.options), 0);
    assert_int_equal(to.options.lock_limit, 7);
    assert_int_equal(to.options.struct_size, sizeof(to.options));
    for (size_t i = 0; i < sizeof(to.behind); i++) {
        assert_int_equal(to.behind[i], 0x5a);
    }
}

struct choice {
    const char *name;
    size_t offset;
    uint32_t count;
};

static const struct choice choices[] = {
    {"lock", offsetof(struct secure_options, lock), 2},
    {"on_lock_failure", offsetof(struct secure_options, on_lock_failure), 2},
    {"on_fork", offsetof(struct secure_options, on_fork), 3},
    {"canary", offsetof(struct secure_options, canary), 2},
    {"check_free", offsetof(struct secure_options, check_free), 2},
    {"stats", offsetof(struct secure_options, stats), 2},
};

enum { CHOICES = sizeof(choices) / sizeof(choices[0]) };

static void value_that_no_option_has_is_einval(void **state)
{
    (void)state;
    for (size_t i = 0; i < CHOICES; i++) {
        const uint32_t values[] = {0, choices[i].count - 1, choices[i].count, 255, UINT32_MAX};
        for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
            struct secure_options to;
            struct secure_options from = by_default();
            memcpy((char *)&from + choices[i].offset, &values[j], sizeof(values[j]));
            assert_int_equal(options_copy(&to, &from), values[j] < choices[i].count ? 0 : -EINVAL);
        }
    }
}

static void any_difference_is_seen(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        offsetof(struct secure_options, purge_limit),
        offsetof(struct secure_options, lock_limit),
        offsetof(struct secure_options, reserve),
    };
    const struct secure_options a = by_default();
    struct secure_options b = by_default();
    b.struct_size = 1;
    assert_true(options_same(&a, &b));
    for (size_t i = 0; i < CHOICES; i++) {
        b = a;
        *((unsigned char *)&b + choices[i].offset) ^= 1;
        assert_false(options_same(&a, &b));
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t byte = 0; byte < 8; byte++) {
            b = a;
            *((unsigned char *)&b + sizes[i] + byte) ^= 1;
            assert_false(options_same(&a, &b));
        }
    }
    b = a;
    b.report = report_nothing;
    assert_false(options_same(&a, &b));
    b = a;
    b.report_context = &b;
    assert_false(options_same(&a, &b));
}

/* ---- the environment ---- */

struct said {
    unsigned count;
    char text[512]; /* "entry: reason\n" for each */
};

static void note(const char *entry, size_t size, const char *reason, void *context)
{
    struct said *said = context;
    const size_t used = strlen(said->text);
    snprintf(said->text + used, sizeof(said->text) - used, "%.*s: %s\n", (int)size, entry, reason);
    said->count++;
}

/* Nothing is said, and `field` says what came of it. */
#define assert_applies(entry, options, field, value)                                               \
    do {                                                                                           \
        struct said said = {0};                                                                    \
        options_read((options), (entry), note, &said);                                             \
        assert_string_equal(said.text, "");                                                        \
        assert_int_equal((options)->field, (value));                                               \
    } while (0)

#define LOOSENS   "the environment may not loosen what the program chose"
#define PROGRAM_S "only the program may set this"
#define NO_VALUE  "not a value of this option"
#define UNKNOWN   "no such option"
#define NO_FORM   "not of the form name=value"

static void assert_refused(struct secure_options from, const char *text, const char *reason)
{
    struct secure_options options = from;
    struct said said = {0};
    char expected[256];
    snprintf(expected, sizeof(expected), "%s: %s\n", text, reason);
    options_read(&options, text, note, &said);
    assert_string_equal(said.text, expected);
    assert_int_equal(said.count, 1);
    assert_true(options_same(&options, &from));
}

static void environment_tightens_step_by_step(void **state)
{
    (void)state;
    struct secure_options options = by_default();
    options.on_lock_failure = SECURE_LOCK_BEST_EFFORT;
    assert_applies("lock=range", &options, lock, SECURE_LOCK_RANGE);
    assert_applies("lock=process", &options, lock, SECURE_LOCK_PROCESS);
    assert_applies("lock=process", &options, lock, SECURE_LOCK_PROCESS);
    assert_applies("on_lock_failure=best-effort", &options, on_lock_failure,
                   SECURE_LOCK_BEST_EFFORT);
    assert_applies("on_lock_failure=fail", &options, on_lock_failure, SECURE_LOCK_FAIL);
    assert_applies("on_fork=keep", &options, on_fork, SECURE_FORK_KEEP);
    assert_applies("on_fork=wipe", &options, on_fork, SECURE_FORK_WIPE);
    assert_applies("on_fork=drop", &options, on_fork, SECURE_FORK_DROP);
    assert_applies("lock_limit=0", &options, lock_limit, 0);
    assert_applies("lock_limit=64k", &options, lock_limit, 65536);
    assert_applies("lock_limit=64k", &options, lock_limit, 65536);
    assert_applies("lock_limit=32k", &options, lock_limit, 32768);
}

static void environment_tunes_freely(void **state)
{
    (void)state;
    struct secure_options options = by_default();
    assert_applies("stats=exit", &options, stats, SECURE_STATS_EXIT);
    assert_applies("stats=off", &options, stats, SECURE_STATS_OFF);
    assert_applies("purge_limit=0", &options, purge_limit, 0);
    assert_applies("purge_limit=1M", &options, purge_limit, 1024 * 1024);
    assert_applies("reserve=1M", &options, reserve, 1024 * 1024);
    assert_applies("reserve=0", &options, reserve, 0);
}

static void environment_never_loosens(void **state)
{
    (void)state;
    struct secure_options tight = by_default();
    tight.lock = SECURE_LOCK_PROCESS;
    tight.on_fork = SECURE_FORK_DROP;
    tight.lock_limit = 65536;
    assert_refused(tight, "lock=range", LOOSENS);
    assert_refused(tight, "on_lock_failure=best-effort", LOOSENS);
    assert_refused(tight, "on_fork=wipe", LOOSENS);
    assert_refused(tight, "on_fork=keep", LOOSENS);
    assert_refused(tight, "lock_limit=65537", LOOSENS);
    assert_refused(tight, "lock_limit=0", LOOSENS);
    assert_refused(tight, "canary=off", PROGRAM_S);
    assert_refused(tight, "canary=on", PROGRAM_S);
    assert_refused(tight, "check_free=off", PROGRAM_S);
    assert_refused(tight, "check_free=on", PROGRAM_S);
}

static void unknown_names_and_bad_values_are_refused(void **state)
{
    (void)state;
    static const char *const unknown[] = {"report=1",      "struct_size=1", "LOCK=process",
                                          " lock=process", "loc=process",   "locks=process",
                                          "=process",      "lock_limit =1"};
    static const char *const bad[] = {
        "lock=",           "lock=1",           "lock=PROCESS",    "lock=process ",
        "lock=proces",     "lock=processes",   "on_fork=dropped", "on_lock_failure=best_effort",
        "stats=on",        "lock_limit=",      "lock_limit=k",    "lock_limit=-1",
        "lock_limit=+1",   "lock_limit= 1",    "lock_limit=1 ",   "lock_limit=0x10",
        "lock_limit=1kb",  "lock_limit=1kk",   "lock_limit=1.5M", "lock_limit=1T",
        "lock_limit=none", "purge_limit=auto", "reserve=1=2",     "lock=range=process",
    };
    static const char *const formless[] = {"lock", "x", " "};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_refused(by_default(), unknown[i], UNKNOWN);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_refused(by_default(), bad[i], NO_VALUE);
    }
    for (size_t i = 0; i < sizeof(formless) / sizeof(formless[0]); i++) {
        assert_refused(by_default(), formless[i], NO_FORM);
    }
}

static void sizes_take_suffixes_and_do_not_overflow(void **state)
{
    (void)state;
    struct secure_options options = by_default();
    assert_applies("reserve=7", &options, reserve, 7);
    assert_applies("reserve=007", &options, reserve, 7);
    assert_applies("reserve=3k", &options, reserve, 3 << 10);
    assert_applies("reserve=3K", &options, reserve, 3 << 10);
    assert_applies("reserve=3m", &options, reserve, 3 << 20);
    assert_applies("reserve=3M", &options, reserve, 3 << 20);
    assert_applies("reserve=3g", &options, reserve, UINT64_C(3) << 30);
    assert_applies("reserve=3G", &options, reserve, UINT64_C(3) << 30);
    assert_applies("reserve=18446744073709551615", &options, reserve, UINT64_MAX);
    assert_applies("reserve=17179869183G", &options, reserve, UINT64_C(17179869183) << 30);
    assert_refused(by_default(), "reserve=18446744073709551616", NO_VALUE);
    assert_refused(by_default(), "reserve=99999999999999999999999999", NO_VALUE);
    assert_refused(by_default(), "reserve=17179869184G", NO_VALUE);
    assert_refused(by_default(), "reserve=18014398509481984k", NO_VALUE);
}

static void entries_stand_alone(void **state)
{
    (void)state;
    struct secure_options options = by_default();
    struct said said = {0};
    options_read(&options, ",,on_fork=wipe,nonsense,,lock=4,lock_limit=1k,canary=off,stats=exit,",
                 note, &said);
    assert_string_equal(said.text, "nonsense: " NO_FORM "\n"
                                   "lock=4: " NO_VALUE "\n"
                                   "canary=off: " PROGRAM_S "\n");
    assert_int_equal(options.on_fork, SECURE_FORK_WIPE);
    assert_int_equal(options.lock, SECURE_LOCK_RANGE);
    assert_int_equal(options.lock_limit, 1024);
    assert_int_equal(options.canary, 1);
    assert_int_equal(options.stats, SECURE_STATS_EXIT);

    /* The second of two is held against the first. */
    options = by_default();
    memset(&said, 0, sizeof(said));
    options_read(&options, "on_fork=drop,on_fork=wipe", note, &said);
    assert_string_equal(said.text, "on_fork=wipe: " LOOSENS "\n");
    assert_int_equal(options.on_fork, SECURE_FORK_DROP);
}

static void empty_text_changes_nothing(void **state)
{
    (void)state;
    const struct secure_options before = by_default();
    struct secure_options options = by_default();
    struct said said = {0};
    options_read(&options, "", note, &said);
    options_read(&options, ",", note, &said);
    assert_int_equal(said.count, 0);
    assert_true(options_same(&options, &before));
}

static void values_have_names(void **state)
{
    (void)state;
    assert_string_equal(options_value_name("lock", SECURE_LOCK_RANGE), "range");
    assert_string_equal(options_value_name("lock", SECURE_LOCK_PROCESS), "process");
    assert_string_equal(options_value_name("on_lock_failure", SECURE_LOCK_FAIL), "fail");
    assert_string_equal(options_value_name("on_lock_failure", SECURE_LOCK_BEST_EFFORT),
                        "best-effort");
    assert_string_equal(options_value_name("on_fork", SECURE_FORK_DROP), "drop");
    assert_string_equal(options_value_name("canary", 1), "on");
    assert_string_equal(options_value_name("stats", SECURE_STATS_EXIT), "exit");
    assert_string_equal(options_value_name("lock", 2), "?");
    assert_string_equal(options_value_name("on_fork", UINT32_MAX), "?");
    assert_string_equal(options_value_name("reserve", 0), "?");
    assert_string_equal(options_value_name("nonsense", 0), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_manual_s),
        cmocka_unit_test(copy_is_the_same),
        cmocka_unit_test(struct_older_than_the_first_is_einval),
        cmocka_unit_test(newer_struct_is_served_as_far_as_it_is_known),
        cmocka_unit_test(value_that_no_option_has_is_einval),
        cmocka_unit_test(any_difference_is_seen),
        cmocka_unit_test(environment_tightens_step_by_step),
        cmocka_unit_test(environment_tunes_freely),
        cmocka_unit_test(environment_never_loosens),
        cmocka_unit_test(unknown_names_and_bad_values_are_refused),
        cmocka_unit_test(sizes_take_suffixes_and_do_not_overflow),
        cmocka_unit_test(entries_stand_alone),
        cmocka_unit_test(empty_text_changes_nothing),
        cmocka_unit_test(values_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
