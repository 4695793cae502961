/* SPDX-License-Identifier: ISC */
#include "base/line.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The last byte is kept for the newline. */
static void add(struct line *line, char byte)
{
    if (line->used < sizeof(line->text) - 1) {
        line->text[line->used++] = byte;
    }
}

static void add_digits(struct line *line, uint64_t number, unsigned base)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    while (count > 0) {
        add(line, digits[--count]);
    }
}

void line_start(struct line *line)
{
    line->used = 0;
    line_text(line, "secure_malloc: ");
}

void line_text(struct line *line, const char *text)
{
    for (; *text != '\0'; text++) {
        add(line, *text);
    }
}

/* Bytes from outside: one that is not plain ASCII could move a terminal's cursor or forge a line.
 */
void line_bytes(struct line *line, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bool is_plain = text[i] >= ' ' && text[i] <= '~';
        add(line, is_plain ? text[i] : '?');
    }
}

void line_number(struct line *line, uint64_t number)
{
    add_digits(line, number, 10);
}

void line_pointer(struct line *line, const void *pointer)
{
    line_text(line, "0x");
    add_digits(line, (uintptr_t)pointer, 16);
}

void line_write(struct line *line)
{
    int saved = errno;
    line->text[line->used++] = '\n';
    long written;
    do {
        /* Not write(): that is a cancellation point, and a thread that is cancelled here would take
         * our mutexes with it. */
        written = syscall(SYS_write, STDERR_FILENO, line->text, line->used);
    } while (written == -1 && errno == EINTR);
    errno = saved;
}
