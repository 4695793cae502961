/* SPDX-License-Identifier: ISC */
/* The fork handlers and the end of threads, as the C library calls them. In children, since the
 * state of the library is one for each process. */
#include "api/state.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>

#include "heap/magazine.h"
#include "unit/expect.h"
#include "unit/layer.h"
#include "unit/os_view.h"

enum { SIZE = 40 };

static char *secret;

static void start(uint32_t on_fork)
{
    struct secure_options options = SECURE_OPTIONS_INIT;
    options.on_fork = on_fork;
    EXPECT(state_init(&options) == 0);
    secret = secure_malloc(SIZE);
    EXPECT(secret != NULL);
    memset(secret, 's', SIZE);
}

/* Forks once more; the child's status is the result. */
static int status_of(child_body *body, void *context)
{
    int status = 0;
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        body(context);
        child_exit(CHILD_RETURNED);
    }
    EXPECT(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static bool is_free(struct mutex *mutex)
{
    bool taken = mutex_try_lock(mutex);
    if (taken) {
        mutex_unlock(mutex);
    }
    return taken;
}

static void expect_no_mutex_held(void)
{
    EXPECT(is_free(&state.mutex));
    EXPECT(is_free(&state.heap.caches_mutex));
    EXPECT(is_free(&state.heap.pages.mutex));
    EXPECT(is_free(&state.heap.pages.purge_mutex));
    EXPECT(is_free(&state.heap.pages.bookkeeping.mutex));
    for (uint32_t class = 0; class < state.heap.classes.count; class ++) {
        EXPECT(is_free(&state.heap.slabs[class].mutex));
    }
}

/* ---- fork ---- */

static void look_at_secret(void *context)
{
    uint32_t mode = *(uint32_t *)context;
    expect_no_mutex_held();
    if (mode == SECURE_FORK_DROP) {
        EXPECT(memcmp(view_of(secret).access, "---p", 4) == 0);
    } else {
        EXPECT(view_is_all(secret, SIZE, mode == SECURE_FORK_KEEP ? 's' : 0));
        EXPECT(os_faults.pretend_locks || view_is_locked(secret));
    }
    secure_free(secret);
    char *other = secure_malloc(SIZE);
    EXPECT(other != NULL);
    secure_free(other);
    layer_check_heap(&state.heap);
}

static void fork_in_mode(void *context)
{
    start(*(uint32_t *)context);
    EXPECT(status_of(look_at_secret, context) == CHILD_RETURNED);
    expect_no_mutex_held();
    EXPECT(view_is_all(secret, SIZE, 's'));
    secure_free(secret);
    layer_check_heap(&state.heap);
}

static void a_child_finds_what_on_fork_says(void **unused)
{
    (void)unused;
    for (uint32_t mode = SECURE_FORK_KEEP; mode <= SECURE_FORK_DROP; mode++) {
        expect_child(fork_in_mode, &mode);
    }
}

static void start_in_child(void *context)
{
    (void)context;
    EXPECT(!atomic_load(&state.ready));
    start(SECURE_FORK_WIPE);
    layer_check_heap(&state.heap);
}

static void fork_before_start(void *context)
{
    EXPECT(status_of(start_in_child, context) == CHILD_RETURNED);
    start(SECURE_FORK_KEEP);
    EXPECT(atomic_load(&state.heap.forks) == 0);
}

static void a_fork_before_the_first_use_is_nothing_to_it(void **unused)
{
    (void)unused;
    expect_child(fork_before_start, NULL);
}

static void expect_errno(void *context)
{
    (void)context;
    EXPECT(errno == ERANGE);
}

static void keep_errno(void *context)
{
    (void)context;
    start(SECURE_FORK_WIPE);
    errno = ERANGE;
    EXPECT(status_of(expect_errno, NULL) == CHILD_RETURNED);
    EXPECT(errno == ERANGE);
}

static void fork_keeps_errno(void **unused)
{
    (void)unused;
    expect_child(keep_errno, NULL);
}

static _Atomic bool stop;

static void *work(void *context)
{
    char *held[16] = {0};
    for (size_t i = 0; !atomic_load(&stop); i = (i + 7) % 16) {
        secure_free(held[i]);
        held[i] = secure_malloc(8 + i * i * 40);
    }
    for (size_t i = 0; i < 16; i++) {
        secure_free(held[i]);
    }
    return context;
}

static void work_in_child(void *context)
{
    (void)context;
    expect_no_mutex_held();
    layer_check_heap(&state.heap);
    char *held[500];
    for (size_t i = 0; i < 500; i++) {
        held[i] = secure_malloc(SIZE);
        EXPECT(held[i] != NULL && view_is_all(held[i], SIZE, 0));
        memset(held[i], 'n', SIZE);
    }
    EXPECT(view_is_all(secret, SIZE, 's'));
    for (size_t i = 0; i < 500; i++) {
        EXPECT(view_is_all(held[i], SIZE, 'n'));
        secure_free(held[i]);
    }
    layer_check_heap(&state.heap);
}

static void fork_beside_threads(void *context)
{
    pthread_t threads[2];
    (void)context;
    start(SECURE_FORK_KEEP);
    for (size_t i = 0; i < 2; i++) {
        EXPECT(pthread_create(&threads[i], NULL, work, NULL) == 0);
    }
    for (size_t i = 0; i < 40; i++) {
        EXPECT(status_of(work_in_child, NULL) == CHILD_RETURNED);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < 2; i++) {
        EXPECT(pthread_join(threads[i], NULL) == 0);
    }
    layer_check_heap(&state.heap);
}

static void children_of_a_busy_process_work(void **unused)
{
    (void)unused;
    expect_child(fork_beside_threads, NULL);
}

/* ---- the process's lock ---- */

static void expect_locked(void *context)
{
    EXPECT(atomic_load(&state.process_lock) == *(bool *)context);
    EXPECT(counter_read(&state.heap.pages.counters.relock_failures) == !*(bool *)context);
}

static void fork_locked_process(void *context)
{
    bool again = *(bool *)context;
    start(SECURE_FORK_KEEP);
    os_faults.pretend_process_lock = true;
    EXPECT(state_lock_process() == 0);
    os_faults.only = 1u << CALL_LOCK_PROCESS;
    os_faults_fail(again ? 0 : 1, true);
    unsigned long asked = os_faults.count[CALL_LOCK_PROCESS];
    EXPECT(status_of(expect_locked, &again) == CHILD_RETURNED);
    EXPECT(os_faults.count[CALL_LOCK_PROCESS] == asked);
    EXPECT(atomic_load(&state.process_lock));
}

static void a_locked_processs_child_is_locked_too_or_says_so(void **unused)
{
    (void)unused;
    bool again = true;
    struct child_end end;
    expect_child(fork_locked_process, &again);
    again = false;
    child_run(&end, fork_locked_process, &again);
    assert_int_equal(end.exit_status, CHILD_RETURNED);
    assert_true(
        child_said(&end, "secure_malloc: the process could not be locked again after fork"));
}

static void expect_gone(void *context)
{
    (void)context;
    EXPECT(memcmp(view_of(secret).access, "---p", 4) == 0);
}

static void fork_and_fail_to_lock(void *context)
{
    start(SECURE_FORK_KEEP);
    os_faults.only = 1u << CALL_RELOCK;
    os_faults_fail(1, true);
    EXPECT(status_of(expect_gone, context) == CHILD_RETURNED);
    EXPECT(view_is_all(secret, SIZE, 's'));
}

static void a_child_that_cannot_lock_says_so_in_one_line(void **unused)
{
    (void)unused;
    struct child_end end;
    child_run(&end, fork_and_fail_to_lock, NULL);
    assert_int_equal(end.exit_status, CHILD_RETURNED);
    assert_true(child_said(&end, "secure_malloc: memory could not be locked again after fork"));
    assert_ptr_equal(strchr(end.text, '\n'), end.text + strlen(end.text) - 1);
}

/* ---- threads ---- */

static void *use_and_end(void *context)
{
    char *held[50];
    for (size_t i = 0; i < 50; i++) {
        held[i] = secure_malloc(SIZE);
    }
    for (size_t i = 0; i < 50; i++) {
        secure_free(held[i]);
    }
    EXPECT((cache_mine != &cache_dead) == *(bool *)context);
    return NULL;
}

/* The magazines of threads that have ended are empty; what is cached is this one's or a stock's.
 */
static void expect_only_mine(void)
{
    uint64_t held = 0;
    for (uint32_t class = 0; class < CLASS_MAX; class ++) {
        held += magazine_count(&cache_mine->magazines[class]);
        for (uint32_t home = 0; home < HOMES; home++) {
            const struct cache *stock = cache_stock(&state.heap, home);
            held += stock != NULL ? magazine_count(&stock->magazines[class]) : 0;
        }
    }
    EXPECT(layer_numbers(&state.heap).cached_slots == held);
}

static void end_threads(void *context)
{
    start(SECURE_FORK_KEEP);
    state.thread_key_made = *(bool *)context;
    for (size_t i = 0; i < 10; i++) {
        pthread_t thread;
        EXPECT(pthread_create(&thread, NULL, use_and_end, context) == 0);
        EXPECT(pthread_join(thread, NULL) == 0);
        expect_only_mine();
        layer_check_heap(&state.heap);
    }
    size_t caches = 0;
    for (struct cache *cache = state.heap.caches; cache != NULL; cache = cache->next) {
        caches++;
    }
    /* Mine, one that one after the other took over, and their homes' stocks. */
    EXPECT(caches == 4);
}

static void a_threads_end_is_heard(void **unused)
{
    (void)unused;
    bool heard = true;
    expect_child(end_threads, &heard);
}

static void without_a_thread_key_threads_have_no_cache(void **unused)
{
    (void)unused;
    bool heard = false;
    expect_child(end_threads, &heard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_finds_what_on_fork_says),
        cmocka_unit_test(a_fork_before_the_first_use_is_nothing_to_it),
        cmocka_unit_test(fork_keeps_errno),
        cmocka_unit_test(children_of_a_busy_process_work),
        cmocka_unit_test(a_locked_processs_child_is_locked_too_or_says_so),
        cmocka_unit_test(a_child_that_cannot_lock_says_so_in_one_line),
        cmocka_unit_test(a_threads_end_is_heard),
        cmocka_unit_test(without_a_thread_key_threads_have_no_cache),
    };
    return layer_run(tests);
}
