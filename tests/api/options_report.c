/* SPDX-License-Identifier: ISC */
/* The program's report handler: it hears first, may use the library, and cannot stop the end. */
#include <errno.h>
#include <pthread.h>
#include <secure_malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/child.h"
#include "api/options.h"
#include "api/well.h"

static int number_of_calls;

/* All that takes a mutex: none may be held. */
static void use_everything(void)
{
    char *small = secure_malloc(32);
    char *large = secure_malloc(20000);
    char *guarded = secure_malloc_guarded(32);
    CHECK(small != NULL && large != NULL && guarded != NULL);
    CHECK(secure_protect(guarded, SECURE_READ_ONLY) == 0);
    large = secure_realloc(large, 24000);
    secure_free(small);
    secure_free(large);
    secure_free(guarded);
    (void)stats_now();
    (void)audit_now();
    secure_zeroize();
    (void)secure_purge();
    (void)secure_trim();
    CHECK(secure_owns(small));
}

static void hear(const struct secure_report *report, void *context)
{
    number_of_calls++;
    dprintf(STDERR_FILENO, "heard %s, 0x%llx, %zu, %s, %d\n", report->what,
            (unsigned long long)(uintptr_t)report->pointer, report->size, (const char *)context,
            number_of_calls);
    use_everything();
}

static void listen_with(void (*handler)(const struct secure_report *report, void *context))
{
    static char word[] = "context";
    struct secure_options options = SECURE_OPTIONS_INIT;
    options.report = handler;
    options.report_context = word;
    CHECK(secure_init(&options) == 0);
}

static void expect(const char *what, const void *pointer, size_t size)
{
    dprintf(STDERR_FILENO, "%s 0x%llx %zu\n", what, (unsigned long long)(uintptr_t)pointer, size);
}

static void overflow_small(void *context)
{
    (void)context;
    listen_with(hear);
    volatile char *pointer = unknown(secure_malloc(40));
    expect("buffer overflow", unknown((void *)(uintptr_t)pointer), 40);
    pointer[40] = 0;
    secure_free(unknown((void *)(uintptr_t)pointer));
}

static void overflow_large(void *context)
{
    (void)context;
    listen_with(hear);
    volatile char *pointer = unknown(secure_malloc(20000));
    expect("buffer overflow", unknown((void *)(uintptr_t)pointer), 20000);
    pointer[20000] = 0;
    secure_free(unknown((void *)(uintptr_t)pointer));
}

static void overflow_in_realloc(void *context)
{
    (void)context;
    listen_with(hear);
    volatile char *pointer = unknown(secure_malloc(20000));
    expect("buffer overflow", unknown((void *)(uintptr_t)pointer), 20000);
    pointer[20000] = 0;
    (void)secure_realloc(unknown((void *)(uintptr_t)pointer), 30000);
}

static void free_twice(void *context)
{
    (void)context;
    listen_with(hear);
    void *pointer = unknown(secure_malloc(40));
    expect("double free", pointer, 0);
    secure_free(pointer);
    secure_free(pointer);
}

static void free_large_twice(void *context)
{
    (void)context;
    listen_with(hear);
    void *pointer = unknown(secure_malloc(20000));
    expect("double free", pointer, 0);
    secure_free(pointer);
    secure_free(pointer);
}

static void wrong_size(void *context)
{
    (void)context;
    listen_with(hear);
    void *pointer = unknown(secure_malloc_guarded(40));
    expect("wrong size", pointer, 41);
    secure_free_sized(pointer, 41);
}

static void write_after_free(void *context)
{
    (void)context;
    listen_with(hear);
    char *pointer = unknown(secure_malloc(20000));
    secure_free(pointer);
    expect("write after free", pointer, 0);
    *(volatile char *)pointer = 1;
    (void)secure_malloc(20000);
}

static void *free_it(void *pointer)
{
    secure_free(pointer);
    return NULL;
}

static void invalid_in_a_thread(void *context)
{
    static char foreign[16];
    pthread_t thread;
    (void)context;
    listen_with(hear);
    expect("invalid pointer", foreign, 0);
    CHECK(pthread_create(&thread, NULL, free_it, foreign) == 0);
    pthread_join(thread, NULL);
}

/* expect's line, the handler's, the library's: all three agree, and the end is an abort. */
static void check_heard(child_body *body)
{
    struct child_end end;
    char what[64] = "";
    char text[512];
    unsigned long long pointer = 0;
    size_t size = 0;
    child_run(&end, body, NULL);
    if (sscanf(end.text, "%63[a-z ] 0x%llx %zu", what, &pointer, &size) != 3) {
        print_error("%s", end.text);
        fail();
    }
    what[strlen(what) - 1] = '\0'; /* the space */
    snprintf(text, sizeof(text),
             "%s 0x%llx %zu\nheard %s, 0x%llx, %zu, context, 1\n"
             "secure_malloc: fatal: %s: pointer 0x%llx, size %zu\n",
             what, pointer, size, what, pointer, size, what, pointer, size);
    assert_string_equal(end.text, text);
    assert_int_equal(end.signal, SIGABRT);
}

static void handler_hears_first_and_may_use_the_library(void **state)
{
    (void)state;
    check_heard(overflow_small);
    check_heard(overflow_large);
    check_heard(overflow_in_realloc);
    check_heard(free_twice);
    check_heard(free_large_twice);
    check_heard(wrong_size);
    check_heard(write_after_free);
    check_heard(invalid_in_a_thread);
}

/* ---- a handler that is at fault itself ---- */

static void free_a_literal(const struct secure_report *report, void *context)
{
    static char foreign[16];
    (void)report;
    (void)context;
    number_of_calls++;
    CHECK_EQUAL(number_of_calls, 1);
    secure_free(foreign);
}

static void fault_in_the_handler(void *context)
{
    (void)context;
    listen_with(free_a_literal);
    void *pointer = unknown(secure_malloc(40));
    secure_free(pointer);
    secure_free(pointer);
}

static void a_handler_is_not_entered_twice(void **state)
{
    (void)state;
    assert_death(fault_in_the_handler, SIGABRT,
                 "secure_malloc: fatal: invalid pointer: pointer 0x");
}

static void leave(const struct secure_report *report, void *context)
{
    (void)report;
    (void)context;
    child_exit(0);
}

static void fault_and_leave(void *context)
{
    (void)context;
    listen_with(leave);
    void *pointer = unknown(secure_malloc(40));
    secure_free(pointer);
    secure_free(pointer);
    child_exit(1);
}

static void a_handler_may_end_the_process(void **state)
{
    (void)state;
    assert_survives(fault_and_leave);
}

int options_report(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handler_hears_first_and_may_use_the_library),
        cmocka_unit_test(a_handler_is_not_entered_twice),
        cmocka_unit_test(a_handler_may_end_the_process),
    };
    return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
