/* SPDX-License-Identifier: ISC */
/* The library ends the process for every misuse, with one line that says which. */
#include "death/misuse.h"

#include <secure_malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/child.h"
#include "support/skip.h"

/* Shared with the child, which alone knows the pointer. */
static struct expected {
    const void *pointer;
    size_t size;
    bool was_set;
} * expected;

void misuse_expect(const void *pointer, size_t size)
{
    *expected = (struct expected){pointer, size, true};
}

char *misuse_got(void *pointer)
{
    if (pointer == NULL) {
        child_needs_to_lock(2048);
        CHECK(pointer != NULL);
    }
    return unknown(pointer);
}

char *misuse_buffer(const struct misuse *misuse)
{
    return misuse_got(misuse->kind == GUARDED ? secure_malloc_guarded(misuse->size)
                                              : secure_malloc(misuse->size));
}

static void run(void *context)
{
    const struct misuse *misuse = context;
    misuse->body(misuse);
}

/* Did the child die as the row says, and say exactly that? */
static bool is_as_expected(const struct misuse *misuse, const struct child_end *end)
{
    char line[256] = "";
    if (misuse->what != NULL) {
        snprintf(line, sizeof(line), "secure_malloc: fatal: %s: pointer 0x%llx, size %zu\n",
                 misuse->what, (unsigned long long)(uintptr_t)expected->pointer, expected->size);
    }
    const int signal = misuse->what != NULL ? SIGABRT : SIGSEGV;
    const bool is_so = expected->was_set && end->signal == signal && strcmp(end->text, line) == 0;
    if (!is_so) {
        print_message(
            "%s: expected signal %d, \"%s\"\n    found signal %d, exit status %d, \"%s\"\n",
            misuse->name, signal, line, end->signal, end->exit_status, end->text);
    }
    return is_so;
}

static bool dies_as_expected(const struct misuse *misuse)
{
    struct misuse copy = *misuse;
    struct child_end end;
    *expected = (struct expected){NULL, 0, false};
    child_run(&end, run, &copy);
    if (end.signal == 0 && end.exit_status == SKIP_EXIT_CODE) {
        skip_say(misuse->name, end.text);
        skip();
    }
    return is_as_expected(misuse, &end);
}

/* ---- the harness: what is not as a row says must not pass for it ---- */

static void do_no_wrong(const struct misuse *misuse)
{
    void *pointer = secure_malloc(misuse->size);
    misuse_expect(pointer, 0);
    secure_free(pointer);
}

static void abort_in_silence(const struct misuse *misuse)
{
    misuse_expect(misuse, 0);
    abort();
}

static void expect_another_pointer(const struct misuse *misuse)
{
    char *pointer = secure_malloc(misuse->size);
    misuse_expect(pointer + 1, 0);
    secure_free(pointer);
    secure_free(unknown(pointer));
}

static void expect_another_size(const struct misuse *misuse)
{
    char *pointer = secure_malloc(misuse->size);
    misuse_expect(pointer, 1);
    secure_free(pointer);
    secure_free(unknown(pointer));
}

static void say_something_else_first(const struct misuse *misuse)
{
    char *pointer = secure_malloc(misuse->size);
    misuse_expect(pointer, 0);
    dprintf(STDERR_FILENO, "hello\n");
    secure_free(pointer);
    secure_free(unknown(pointer));
}

static void free_twice(const struct misuse *misuse)
{
    char *pointer = secure_malloc(misuse->size);
    misuse_expect(pointer, 0);
    secure_free(pointer);
    secure_free(unknown(pointer));
}

static void the_harness_sees_what_is_wrong(void **state)
{
    static const struct misuse wrong[] = {
        {"(wrong on purpose) survives", do_no_wrong, 32, SMALL, "double free"},
        {"(wrong on purpose) no fault", do_no_wrong, 32, SMALL, NULL},
        {"(wrong on purpose) silent", abort_in_silence, 32, SMALL, "double free"},
        {"(wrong on purpose) pointer", expect_another_pointer, 32, SMALL, "double free"},
        {"(wrong on purpose) size", expect_another_size, 32, SMALL, "double free"},
        {"(wrong on purpose) two lines", say_something_else_first, 32, SMALL, "double free"},
        {"(wrong on purpose) text", free_twice, 32, SMALL, "buffer overflow"},
        {"(wrong on purpose) signal", free_twice, 32, SMALL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(dies_as_expected(&wrong[i]));
    }
    const struct misuse right = {"right", free_twice, 32, SMALL, "double free"};
    assert_true(dies_as_expected(&right));
}

/* ---- the rows ---- */

static void misuse_is_fatal(void **state)
{
    const struct misuse *misuse = *state;
    assert_true(dies_as_expected(misuse));
}

enum { ROWS_MAX = 256 };

static struct misuse rows[ROWS_MAX];
static size_t rows_count;

static void add(const struct misuse *misuses, size_t count)
{
    if (rows_count + count > ROWS_MAX) {
        abort();
    }
    memcpy(rows + rows_count, misuses, count * sizeof(rows[0]));
    rows_count += count;
}

int main(void)
{
    static struct CMUnitTest tests[1 + ROWS_MAX] = {
        cmocka_unit_test(the_harness_sees_what_is_wrong),
    };
    expected =
        mmap(NULL, sizeof(*expected), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (expected == MAP_FAILED) {
        return 1;
    }
    add(misuse_freed, misuse_freed_count);
    add(misuse_pointers, misuse_pointers_count);
    add(misuse_bytes, misuse_bytes_count);
    for (size_t i = 0; i < rows_count; i++) {
        tests[1 + i].name = rows[i].name;
        tests[1 + i].test_func = misuse_is_fatal;
        tests[1 + i].initial_state = &rows[i];
    }
    return _cmocka_run_group_tests("misuse", tests, 1 + rows_count, NULL, NULL);
}
