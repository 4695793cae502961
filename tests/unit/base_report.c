/* SPDX-License-Identifier: ISC */
#include "base/report.h"

#include <signal.h>
#include <string.h>

#include "unit/expect.h"

static void words_are_the_contract(void **state)
{
    (void)state;
    static const char *const words[] = {
        "double free",     "invalid pointer",  "interior pointer", "wrong size",
        "buffer overflow", "buffer underflow", "write after free",
    };
    assert_int_equal(FAULT_COUNT, sizeof(words) / sizeof(words[0]));
    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        assert_string_equal(report_words((enum fault)i), words[i]);
    }
}

static void *const POINTER = (void *)0x1230; /* not NULL, and nothing */

static void fault(void *context)
{
    (void)context;
    report_fault(FAULT_BUFFER_OVERFLOW, POINTER, 32);
}

static void fault_is_one_line_and_an_abort(void **state)
{
    (void)state;
    struct child_end end;
    child_run(&end, fault, NULL);
    assert_int_equal(end.signal, SIGABRT);
    assert_string_equal(end.text,
                        "secure_malloc: fatal: buffer overflow: pointer 0x1230, size 32\n");
}

/* Says what it was told, so that the parent can compare. */
static void tell(const char *what, const void *pointer, size_t size, void *context)
{
    fprintf(stderr, "handler: %s %p %zu %s\n", what, pointer, size, (const char *)context);
    fflush(stderr);
}

static void fault_with_handler(void *context)
{
    char text[] = "context";
    (void)context;
    report_set_handler(tell, text);
    report_fault(FAULT_WRONG_SIZE, POINTER, 7);
}

static void handler_sees_the_report_first_and_cannot_prevent_the_end(void **state)
{
    (void)state;
    struct child_end end;
    child_run(&end, fault_with_handler, NULL);
    assert_int_equal(end.signal, SIGABRT);
    assert_string_equal(end.text, "handler: wrong size 0x1230 7 context\n"
                                  "secure_malloc: fatal: wrong size: pointer 0x1230, size 7\n");
}

static void leave(const char *what, const void *pointer, size_t size, void *context)
{
    (void)what;
    (void)pointer;
    (void)size;
    child_exit(*(const int *)context);
}

static void fault_with_leaving_handler(void *context)
{
    int status = 9;
    (void)context;
    report_set_handler(leave, &status);
    report_fault(FAULT_WRONG_SIZE, POINTER, 7);
}

static void handler_may_end_the_process_its_own_way(void **state)
{
    (void)state;
    struct child_end end;
    child_run(&end, fault_with_leaving_handler, NULL);
    assert_int_equal(end.signal, 0);
    assert_int_equal(end.exit_status, 9);
    assert_string_equal(end.text, "");
}

static void fault_again(const char *what, const void *pointer, size_t size, void *context)
{
    tell(what, pointer, size, context);
    report_fault(FAULT_DOUBLE_FREE, pointer, 0);
}

static void fault_with_faulting_handler(void *context)
{
    char text[] = "context";
    (void)context;
    report_set_handler(fault_again, text);
    report_fault(FAULT_WRITE_AFTER_FREE, POINTER, 1);
}

static void fault_within_the_handler_does_not_enter_it_again(void **state)
{
    (void)state;
    struct child_end end;
    child_run(&end, fault_with_faulting_handler, NULL);
    assert_int_equal(end.signal, SIGABRT);
    assert_string_equal(end.text, "handler: write after free 0x1230 1 context\n"
                                  "secure_malloc: fatal: double free: pointer 0x1230, size 0\n");
}

static void unexpected(void *context)
{
    (void)context;
    report_unexpected("madvise", 14);
}

static void unexpected_error_names_the_call(void **state)
{
    (void)state;
    assert_death(unexpected, SIGABRT, "secure_malloc: fatal: unexpected error 14 from madvise\n");
}

static void notice(void *context)
{
    (void)context;
    report_notice("one thing");
    report_notice("and another");
}

static void notice_lets_the_process_go_on(void **state)
{
    (void)state;
    struct child_end end;
    child_run(&end, notice, NULL);
    assert_int_equal(end.signal, 0);
    assert_int_equal(end.exit_status, CHILD_RETURNED);
    assert_string_equal(end.text, "secure_malloc: one thing\nsecure_malloc: and another\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_the_contract),
        cmocka_unit_test(fault_is_one_line_and_an_abort),
        cmocka_unit_test(handler_sees_the_report_first_and_cannot_prevent_the_end),
        cmocka_unit_test(handler_may_end_the_process_its_own_way),
        cmocka_unit_test(fault_within_the_handler_does_not_enter_it_again),
        cmocka_unit_test(unexpected_error_names_the_call),
        cmocka_unit_test(notice_lets_the_process_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
