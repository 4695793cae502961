/* SPDX-License-Identifier: ISC */
/* The state of the library is one for each process, so each of these runs in a child. */
#include "api/state.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "unit/expect.h"
#include "unit/layer.h"
#include "unit/os_view.h"

enum { KIB = 1024 };

static struct secure_options defaults(void)
{
    return (struct secure_options)SECURE_OPTIONS_INIT;
}

/* ---- starting ---- */

static void start_by_first_use(void *context)
{
    (void)context;
    struct secure_options options = defaults();
    EXPECT(!atomic_load(&state.ready));
    EXPECT(state_ready() == 0);
    EXPECT(atomic_load(&state.ready));
    EXPECT(state_ready() == 0);
    EXPECT(state.heap.page_size == os_page_size());
    EXPECT(state_init(NULL) == 0);
    EXPECT(state_init(&options) == 0); /* it changes nothing */
    options.purge_limit = 5;
    EXPECT(state_init(&options) == -EALREADY);
    EXPECT(state.in_force.purge_limit == SECURE_PURGE_DEFAULT);
}

static void start_with_options(void *context)
{
    (void)context;
    struct secure_options options = defaults();
    options.canary = 0;
    options.purge_limit = 77;
    options.on_fork = SECURE_FORK_WIPE;
    options.lock_limit = 64 * KIB;
    EXPECT(state_init(&options) == 0);
    EXPECT(!state.heap.canary && state.heap.check_free);
    EXPECT(state.heap.pages.config.purge_limit == 77);
    EXPECT(state.heap.pages.config.fork == OS_FORK_WIPE);
    EXPECT(state.heap.pages.config.lock_limit == 64 * KIB);
    EXPECT(!state.heap.pages.config.best_effort);
    EXPECT(state_init(&options) == 0);
    EXPECT(state_init(NULL) == -EALREADY);
}

static void start_with_bad_options(void *context)
{
    (void)context;
    struct secure_options options = defaults();
    options.on_fork = 3;
    EXPECT(state_init(&options) == -EINVAL);
    options = defaults();
    options.struct_size--;
    EXPECT(state_init(&options) == -EINVAL);
    EXPECT(!atomic_load(&state.ready));
    EXPECT(state_init(NULL) == 0);
}

static void the_first_use_or_init_decides(void **unused)
{
    (void)unused;
    expect_child(start_by_first_use, NULL);
    expect_child(start_with_options, NULL);
    expect_child(start_with_bad_options, NULL);
}

static void *start_in_thread(void *context)
{
    pthread_barrier_wait(context);
    return state_ready() == 0 && atomic_load(&state.ready) ? context : NULL;
}

static void start_in_threads(void *context)
{
    pthread_barrier_t barrier;
    pthread_t threads[4];
    (void)context;
    pthread_barrier_init(&barrier, NULL, 4);
    for (size_t i = 0; i < 4; i++) {
        EXPECT(pthread_create(&threads[i], NULL, start_in_thread, &barrier) == 0);
    }
    for (size_t i = 0; i < 4; i++) {
        void *result = NULL;
        EXPECT(pthread_join(threads[i], &result) == 0 && result != NULL);
    }
}

static void threads_may_all_be_first(void **unused)
{
    (void)unused;
    expect_child(start_in_threads, NULL);
}

/* ---- the environment ---- */

static void read_environment(void *context)
{
    struct secure_options options = defaults();
    setenv("SECURE_MALLOC_OPTIONS", context, 1);
    options.on_fork = SECURE_FORK_WIPE;
    EXPECT(state_init(&options) == 0);
    EXPECT(state.in_force.purge_limit == 8 * KIB);
    EXPECT(state.in_force.on_fork == SECURE_FORK_WIPE);
    EXPECT(state.heap.pages.config.purge_limit == 8 * KIB);
    EXPECT(state.chosen.purge_limit == SECURE_PURGE_DEFAULT);
    EXPECT(state_init(&options) == 0); /* the same as the program chose */
}

static void fail_then_start(void *context)
{
    struct secure_options options = defaults();
    setenv("SECURE_MALLOC_OPTIONS", context, 1);
    os_faults.only = 1u << CALL_LOCK;
    os_faults_fail(1, true);
    options.reserve = 100 * KIB;
    EXPECT(state_init(&options) == -ENOMEM);
    os_faults_fail(0, false);
    EXPECT(state_init(NULL) == 0);
}

static size_t lines_in(const char *text)
{
    size_t lines = 0;
    for (; *text != '\0'; text++) {
        lines += *text == '\n';
    }
    return lines;
}

static void the_environment_tunes_and_is_told_what_it_may_not(void **unused)
{
    (void)unused;
    struct child_end end;
    char fine[] = "purge_limit=8k,stats=off";
    char ignored[] = "purge_limit=8k,on_fork=keep,nonsense=1,canary=off";
    expect_child(read_environment, fine);
    child_run(&end, read_environment, ignored);
    assert_int_equal(end.signal, 0);
    assert_int_equal(end.exit_status, CHILD_RETURNED);
    assert_int_equal(lines_in(end.text), 3);
    assert_true(
        child_said(&end, "secure_malloc: SECURE_MALLOC_OPTIONS: ignored \"on_fork=keep\": "));
    assert_true(child_said(&end, "secure_malloc: SECURE_MALLOC_OPTIONS: ignored \"nonsense=1\": "));
    assert_true(child_said(&end, "secure_malloc: SECURE_MALLOC_OPTIONS: ignored \"canary=off\": "));
}

static void a_second_try_does_not_say_it_again(void **unused)
{
    (void)unused;
    struct child_end end;
    char nonsense[] = "nonsense=1";
    child_run(&end, fail_then_start, nonsense);
    assert_int_equal(end.exit_status, CHILD_RETURNED);
    assert_int_equal(lines_in(end.text), 1);
}

/* ---- reserve, and failures ---- */

static void reserve_some(void *context)
{
    (void)context;
    struct secure_options options = defaults();
    unsigned long charged = view_charged();
    options.reserve = 300 * KIB;
    EXPECT(state_init(&options) == 0);
    EXPECT(counter_read(&state.heap.pages.counters.locked) >= 300 * KIB);
    EXPECT(os_faults.pretend_locks || view_charged() >= charged + 300 * KIB);
    layer_check_pages(&state.heap.pages);
}

static void fail_to_reserve(void *context)
{
    struct secure_options options = defaults();
    unsigned long charged = view_charged();
    options.on_fork = *(uint32_t *)context;
    options.reserve = 3000 * KIB;
    options.lock_limit = 1000 * KIB;
    EXPECT(state_init(&options) == -ENOMEM);
    EXPECT(!atomic_load(&state.ready));
    EXPECT(view_charged() == charged); /* nothing is left locked */
    options.reserve = 500 * KIB;
    EXPECT(state_init(&options) == 0);
    layer_check_pages(&state.heap.pages);
    EXPECT(os_faults.pretend_locks || view_charged() >= charged + 500 * KIB);
    EXPECT(view_charged() <= charged + 700 * KIB);
}

static bool is_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
    return __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
    return false;
#endif
}

/* More than there is address space for: what was reserved on the way must not be missed after. */
static void fail_for_address_space(void *context)
{
    (void)context;
    struct secure_options options = defaults();
    if (limits_set(RLIMIT_AS, (rlim_t)2 << 30) != 0) {
        child_exit(SKIP_EXIT_CODE);
    }
    options.reserve = UINT64_C(1) << 40;
    EXPECT(state_init(&options) == -ENOMEM);
    EXPECT(state_init(NULL) == 0);
    int error = 0;
    EXPECT(heap_allocate(&state.heap, 1000, &error) != NULL);
    void *other = malloc((size_t)64 << 20);
    EXPECT(other != NULL);
    free(other);
}

static void what_cannot_be_reserved_leaves_nothing_behind(void **unused)
{
    (void)unused;
    const uint32_t modes[] = {SECURE_FORK_KEEP, SECURE_FORK_WIPE, SECURE_FORK_DROP};
    expect_child(reserve_some, NULL);
    for (size_t i = 0; i < 3; i++) {
        uint32_t mode = modes[i];
        expect_child(fail_to_reserve, &mode);
    }
}

static void more_than_the_address_space_leaves_nothing_behind(void **unused)
{
    (void)unused;
    if (is_sanitized()) {
        skip_test("a sanitizer needs all the address space");
    }
    expect_child(fail_for_address_space, NULL);
}

/* ---- the process's lock ---- */

static void lock_process(void *context)
{
    (void)context;
    struct secure_options options = defaults();
    os_faults.pretend_process_lock = true;
    options.lock = SECURE_LOCK_PROCESS;
    EXPECT(state_init(&options) == 0);
    EXPECT(atomic_load(&state.process_lock));
}

static void lock_process_refused(void *context)
{
    struct secure_options options = defaults();
    unsigned long charged = view_charged();
    os_faults.only = 1u << CALL_LOCK_PROCESS;
    os_faults.error = -EPERM;
    os_faults_fail(1, true);
    options.lock = SECURE_LOCK_PROCESS;
    options.reserve = 100 * KIB;
    options.on_fork = *(uint32_t *)context;
    EXPECT(state_init(&options) == -EPERM);
    EXPECT(!atomic_load(&state.ready) && !atomic_load(&state.process_lock));
    EXPECT(view_charged() == charged);
    options.on_lock_failure = SECURE_LOCK_BEST_EFFORT;
    EXPECT(state_init(&options) == 0);
    EXPECT(!atomic_load(&state.process_lock));
    EXPECT(counter_read(&state.heap.pages.counters.lock_failures) == 2);
}

static void lock_process_later(void *context)
{
    (void)context;
    os_faults.pretend_process_lock = true;
    os_faults.only = 1u << CALL_LOCK_PROCESS;
    os_faults_fail(1, false);
    EXPECT(state_lock_process() == -ENOMEM);
    EXPECT(atomic_load(&state.ready) && !atomic_load(&state.process_lock));
    EXPECT(counter_read(&state.heap.pages.counters.lock_failures) == 1);
    EXPECT(state_lock_process() == 0);
    EXPECT(atomic_load(&state.process_lock));
}

static void the_process_is_locked_if_it_was_chosen(void **unused)
{
    (void)unused;
    struct child_end end;
    uint32_t modes[] = {SECURE_FORK_KEEP, SECURE_FORK_DROP};
    expect_child(lock_process, NULL);
    expect_child(lock_process_later, NULL);
    for (size_t i = 0; i < 2; i++) {
        child_run(&end, lock_process_refused, &modes[i]);
        if (end.exit_status != CHILD_RETURNED) {
            print_error("%s\n", end.text);
        }
        assert_int_equal(end.exit_status, CHILD_RETURNED);
        assert_true(child_said(&end, "secure_malloc: the process could not be locked"));
        assert_int_equal(lines_in(end.text), 1);
    }
}

/* ---- the program's handler ---- */

static void say(const struct secure_report *report, void *context)
{
    fprintf(stderr, "handler: %s, %zu, %s\n", report->what, report->size, (const char *)context);
}

static void overflow(void *context)
{
    struct secure_options options = defaults();
    options.report = say;
    options.report_context = context;
    EXPECT(state_init(&options) == 0);
    /* By way of a number, or the compiler's own checks would end it first. */
    uintptr_t start = (uintptr_t)secure_malloc(21);
    *(volatile char *)(start + 21) = 0;
    secure_free((void *)start);
}

static void the_programs_handler_sees_the_report_first(void **unused)
{
    (void)unused;
    struct child_end end;
    char text[] = "context";
    child_run(&end, overflow, text);
    assert_int_equal(end.signal, SIGABRT);
    const char *said = strstr(end.text, "handler: buffer overflow, 21, context\n");
    assert_non_null(said);
    assert_non_null(strstr(said, "secure_malloc: fatal: buffer overflow: pointer 0x"));
}

static void fail_sets_errno(void **unused)
{
    (void)unused;
    errno = 0;
    assert_int_equal((fail)(-EALREADY), -1);
    assert_int_equal(errno, EALREADY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_use_or_init_decides),
        cmocka_unit_test(threads_may_all_be_first),
        cmocka_unit_test(the_environment_tunes_and_is_told_what_it_may_not),
        cmocka_unit_test(a_second_try_does_not_say_it_again),
        cmocka_unit_test(what_cannot_be_reserved_leaves_nothing_behind),
        cmocka_unit_test(more_than_the_address_space_leaves_nothing_behind),
        cmocka_unit_test(the_process_is_locked_if_it_was_chosen),
        cmocka_unit_test(the_programs_handler_sees_the_report_first),
        cmocka_unit_test(fail_sets_errno),
    };
    return layer_run(tests);
}
