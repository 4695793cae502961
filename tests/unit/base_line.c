/* SPDX-License-Identifier: ISC */
#include "base/line.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>

#include "unit/expect.h"

static void assert_text(const struct line *line, const char *text)
{
    assert_int_equal(line->used, strlen(text));
    assert_memory_equal(line->text, text, line->used);
}

static void a_line_begins_with_the_library_s_name(void **state)
{
    (void)state;
    struct line line;
    line_start(&line);
    assert_text(&line, "secure_malloc: ");
}

static void numbers_are_written_in_full(void **state)
{
    (void)state;
    struct line line;
    line_start(&line);
    line_number(&line, 0);
    line_text(&line, " ");
    line_number(&line, 1234567890);
    line_text(&line, " ");
    line_number(&line, UINT64_MAX);
    assert_text(&line, "secure_malloc: 0 1234567890 18446744073709551615");
}

static void pointers_are_hexadecimal(void **state)
{
    (void)state;
    struct line line;
    line_start(&line);
    line_pointer(&line, NULL);
    line_text(&line, " ");
    line_pointer(&line, (void *)(uintptr_t)0x7f00beef);
    line_text(&line, " ");
    line_pointer(&line, (void *)UINTPTR_MAX);
    assert_text(&line, sizeof(void *) == 8 ? "secure_malloc: 0x0 0x7f00beef 0xffffffffffffffff"
                                           : "secure_malloc: 0x0 0x7f00beef 0xffffffff");
}

static void bytes_from_outside_cannot_forge_a_line(void **state)
{
    (void)state;
    const char bytes[] = "a=\n\x1b[2J\x7f\x9b\xff~";
    struct line line;
    line_start(&line);
    line_bytes(&line, bytes, sizeof(bytes)); /* with its NUL */
    assert_text(&line, "secure_malloc: a=??[2J???~?");
}

static void what_does_not_fit_is_cut(void **state)
{
    (void)state;
    struct line line;
    line_start(&line);
    for (int i = 0; i < 100; i++) {
        line_text(&line, "0123456789");
        line_number(&line, 42);
        line_pointer(&line, &line);
        line_bytes(&line, "abc", 3);
    }
    assert_int_equal(line.used, sizeof(line.text) - 1);
    assert_memory_equal(line.text, "secure_malloc: 012345678942", 27);
}

/* A socket that keeps the bounds of each write stands in for stderr. */
static void a_line_is_one_write(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    const int kept = dup(STDERR_FILENO);
    struct line line;
    char got[512];
    line_start(&line);
    line_text(&line, "text ");
    line_number(&line, 7);

    dup2(ends[1], STDERR_FILENO);
    line_write(&line);
    line_start(&line);
    for (int i = 0; i < 100; i++) {
        line_text(&line, "0123456789");
    }
    line_write(&line);
    dup2(kept, STDERR_FILENO);

    ssize_t size = recv(ends[0], got, sizeof(got), MSG_DONTWAIT);
    assert_int_equal(size, strlen("secure_malloc: text 7\n"));
    assert_memory_equal(got, "secure_malloc: text 7\n", (size_t)size);
    size = recv(ends[0], got, sizeof(got), MSG_DONTWAIT);
    assert_int_equal(size, sizeof(line.text));
    assert_int_equal(got[size - 1], '\n');
    assert_int_equal(recv(ends[0], got, sizeof(got), MSG_DONTWAIT), -1);
    close(kept);
    close(ends[0]);
    close(ends[1]);
}

static void write_to_nowhere(void *context)
{
    (void)context;
    close(STDERR_FILENO);
    struct line line;
    line_start(&line);
    errno = ERANGE;
    line_write(&line);
    if (errno != ERANGE) {
        child_exit(1);
    }
}

static void errno_is_kept_when_stderr_is_closed(void **state)
{
    (void)state;
    expect_child(write_to_nowhere, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_begins_with_the_library_s_name),
        cmocka_unit_test(numbers_are_written_in_full),
        cmocka_unit_test(pointers_are_hexadecimal),
        cmocka_unit_test(bytes_from_outside_cannot_forge_a_line),
        cmocka_unit_test(what_does_not_fit_is_cut),
        cmocka_unit_test(a_line_is_one_write),
        cmocka_unit_test(errno_is_kept_when_stderr_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
