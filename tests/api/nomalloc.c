/* SPDX-License-Identifier: ISC */
/*
 * The library calls no malloc, not through the C library either: here malloc and its kin end the
 * process while the flag is up. All 64 thread keys that a program may have been given before are
 * taken, in one test before the library is first used.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <secure_malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/child.h"
#include "api/look.h"
#include "api/well.h"
#include "support/skip.h"

/* ---- malloc ---- */

static atomic_bool is_forbidden;

/* A sanitizer's own is called before there is a main that could skip. */
#if !SANITIZED

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *ptr, size_t size);
extern void __libc_free(void *ptr);

static void say_and_die(void)
{
    static const char text[] = "malloc was called\n";
    const ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)written;
    atomic_store(&is_forbidden, false); /* the end itself may use it */
    abort();
}

static void check_malloc(void)
{
    if (atomic_load(&is_forbidden)) {
        say_and_die();
    }
}

void *malloc(size_t size)
{
    check_malloc();
    return __libc_malloc(size);
}

void *calloc(size_t nmemb, size_t size)
{
    check_malloc();
    return __libc_calloc(nmemb, size);
}

void *realloc(void *ptr, size_t size)
{
    check_malloc();
    return __libc_realloc(ptr, size);
}

void free(void *ptr)
{
    if (ptr != NULL) {
        check_malloc();
    }
    __libc_free(ptr);
}

#endif

/* ---- all functions ---- */

enum { THREADS = 3, ROUNDS = 3 };

static void call_every_function(void)
{
    char text[] = "a secret";
    char *all[8] = {secure_malloc(32),    secure_calloc(3, 100),     secure_aligned_alloc(256, 40),
                    secure_strdup(text),  secure_strndup(text, 3),   secure_memdup(text, 5),
                    secure_malloc(20000), secure_malloc_guarded(100)};
    for (int i = 0; i < 8; i++) {
        CHECK(all[i] != NULL && secure_owns(all[i]) && secure_usable_size(all[i]) > 0);
    }
    CHECK(secure_protect(all[7], SECURE_NO_ACCESS) == 0);
    CHECK(secure_protect(all[7], SECURE_READ_WRITE) == 0);
    all[0] = secure_realloc(all[0], 5000);
    all[6] = secure_reallocarray(all[6], 2, 20000);
    all[7] = secure_realloc(all[7], 3000);
    secure_wipe(text, sizeof(text));
    CHECK(!secure_equal(text, "a secret", sizeof(text)));
    CHECK_FAILS(secure_malloc((size_t)1 << 62), NULL, ENOMEM);
    CHECK_FAILS(secure_aligned_alloc(strlen(text) - 5, 1), NULL, EINVAL);
    for (int i = 0; i < 7; i++) {
        secure_free(all[i]);
    }
    secure_free_sized(all[7], 3000);
    (void)stats_now();
    (void)audit_now();
    CHECK_EQUAL(secure_malloc_version()[0], '0' + SECURE_MALLOC_VERSION_MAJOR);
}

static atomic_int turn; /* 0: wait; then 1, 2, ... a round each */
static atomic_int done;

/* The threads themselves come from malloc: they begin before it is forbidden and wait. */
static void *work_in_turn(void *context)
{
    for (int round = 1; round <= ROUNDS; round++) {
        while (atomic_load(&turn) < round) {
            sched_yield();
        }
        call_every_function();
        use_heap(20000);
        atomic_fetch_add(&done, 1);
    }
    /* And at its end: the thread's cache goes back while malloc is still forbidden. */
    (void)context;
    return NULL;
}

static void work_in_a_child(void)
{
    const pid_t child = fork();
    if (child == 0) {
        call_every_function();
        use_heap(20000);
        check_well();
        atomic_store(&is_forbidden, false); /* counters of coverage are written with it */
        child_exit(0);
    }
    child_wait(child);
}

/* Their memory is the caller's own, and is mapped beforehand. */
static void release(char *pages)
{
    memset(pages, 1, 4 * page_size());
    CHECK(secure_release_pages(pages, 4 * page_size()) == 0);
    CHECK(pages[0] == 0 && pages[4 * page_size() - 1] == 0);
}

static void full_cycle(uint32_t on_fork)
{
    struct secure_options options = SECURE_OPTIONS_INIT;
    pthread_t threads[THREADS];
    child_needs_to_lock(7168);
    options.on_fork = on_fork;
    char *pages =
        mmap(NULL, 4 * page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, work_in_turn, NULL) == 0);
    }
    atomic_store(&is_forbidden, true);
    CHECK(secure_init(&options) == 0);
    for (int round = 1; round <= ROUNDS; round++) {
        atomic_store(&turn, round);
        call_every_function();
        work_in_a_child();
        while (atomic_load(&done) < round * THREADS) {
            sched_yield();
        }
        use_heap(200000);
        (void)secure_purge();
        (void)secure_trim();
        release(pages);
        secure_zeroize(); /* when the threads have nothing that it would spoil */
        check_well();
    }
    for (int i = 0; i < THREADS; i++) { /* each ends without a malloc, and without a free */
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    (void)secure_lock_process();
    use_heap(20000);
    (void)secure_trim();
    atomic_store(&is_forbidden, false);
}

enum { KEYS = 64 };

static void take_thread_keys(void)
{
    for (int i = 0; i < KEYS; i++) {
        pthread_key_t key;
        CHECK(pthread_key_create(&key, NULL) == 0);
    }
}

static void no_malloc_in_a_full_cycle(void *context)
{
    (void)context;
    full_cycle(SECURE_FORK_KEEP);
}

static void no_malloc_with_all_thread_keys_taken(void *context)
{
    (void)context;
    take_thread_keys();
    full_cycle(SECURE_FORK_KEEP);
}

static void no_malloc_under_wipe(void *context)
{
    (void)context;
    take_thread_keys();
    full_cycle(SECURE_FORK_WIPE);
}

static void no_malloc_under_drop(void *context)
{
    (void)context;
    take_thread_keys();
    full_cycle(SECURE_FORK_DROP);
}

/* ---- the harness, and what ends the process ---- */

static void call_malloc(void *context)
{
    (void)context;
    atomic_store(&is_forbidden, true);
    void *pointer = unknown(malloc(10));
    free(pointer);
}

static void a_malloc_would_be_seen(void **state)
{
    (void)state;
    assert_death(call_malloc, SIGABRT, "malloc was called");
}

static void free_twice(void *context)
{
    (void)context;
    char *pointer = unknown(secure_malloc(32));
    atomic_store(&is_forbidden, true);
    secure_free(pointer);
    secure_free(pointer);
}

static void no_malloc_in_a_report(void **state)
{
    struct child_end end;
    (void)state;
    child_run(&end, free_twice, NULL);
    assert_true(child_said(&end, "secure_malloc: fatal: double free"));
    assert_false(child_said(&end, "malloc was called"));
}

int main(void)
{
    if (SANITIZED) {
        skip_program("api.nomalloc", "the sanitizers' malloc must not be replaced");
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_malloc_would_be_seen),
        IN_CHILD(no_malloc_in_a_full_cycle),
        IN_CHILD(no_malloc_with_all_thread_keys_taken),
        IN_CHILD(no_malloc_under_wipe),
        IN_CHILD(no_malloc_under_drop),
        cmocka_unit_test(no_malloc_in_a_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
