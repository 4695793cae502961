/* SPDX-License-Identifier: ISC */
/*
 * Tests that run in a child of their own: each begins with a heap that nobody has used, sets
 * options, limits and filters as it likes, and leaves nothing behind.
 *
 * In a child, cmocka's assertions would jump back into the runner's copy of the tests. CHECK ends
 * the child instead, with a line that says where.
 */
#ifndef SECURE_MALLOC_TESTS_API_CHILD_H
#define SECURE_MALLOC_TESTS_API_CHILD_H

#include "support/cmocka.h"
#include "support/death.h"

/* The sanitizers map shadow memory, count against limits, and slow everything down. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define CHECK(condition)                                                                           \
    ((condition) ? (void)0 : child_check_failed(#condition, __FILE__, __LINE__))
#define CHECK_EQUAL(a, b)                                                                          \
    child_check_equal((unsigned long long)(a), (unsigned long long)(b), #a " == " #b, __FILE__,    \
                      __LINE__)

/* A call that fails with this errno. */
#define CHECK_FAILS(call, failure, error)                                                          \
    do {                                                                                           \
        errno = 0;                                                                                 \
        CHECK((call) == (failure));                                                                \
        CHECK_EQUAL(errno, (error));                                                               \
    } while (0)

__attribute__((noreturn)) void child_check_failed(const char *condition, const char *file,
                                                  int line);
void child_check_equal(unsigned long long a, unsigned long long b, const char *condition,
                       const char *file, int line);

/* Ends the child; its test is skipped, with this reason. Not after anything else was said. */
__attribute__((noreturn)) void child_skip(const char *reason);

/* Skips the test where so many KiB cannot be locked. */
void child_needs_to_lock(unsigned kib);

/* Skips the test where a whole process, with its libraries, cannot be locked. */
void child_needs_to_lock_the_process(void);

/* A row for cmocka: the body runs in a child, comes to its end, and says nothing on stderr. */
struct child_test {
    const char *name;
    child_body *body;
};

#define IN_CHILD(function)                                                                         \
    {                                                                                              \
        .name = #function, .test_func = child_test_run, .initial_state = &(struct child_test)      \
        {                                                                                          \
#function, function                                                                    \
        }                                                                                          \
    }

void child_test_run(void **state);

/* The same for a body with a context, from within a test function. */
void child_must_survive(const char *name, child_body *body, void *context);

/* Waits for a child that a test forked itself: it must exit with 0. */
void child_wait(int pid);

/* A pointer of which the compiler knows nothing: what is wrong with its use is the test. */
void *unknown(void *pointer);

#endif
