/* SPDX-License-Identifier: ISC */
#include "base/report.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/line.h"

static const char *const words[FAULT_COUNT] = {
    [FAULT_DOUBLE_FREE] = "double free",           [FAULT_INVALID_POINTER] = "invalid pointer",
    [FAULT_INTERIOR_POINTER] = "interior pointer", [FAULT_WRONG_SIZE] = "wrong size",
    [FAULT_BUFFER_OVERFLOW] = "buffer overflow",   [FAULT_BUFFER_UNDERFLOW] = "buffer underflow",
    [FAULT_WRITE_AFTER_FREE] = "write after free",
};

static struct {
    report_handler *handler;
    void *context;
    atomic_flag was_called;
} program = {.was_called = ATOMIC_FLAG_INIT};

void report_set_handler(report_handler *handler, void *context)
{
    program.context = context;
    program.handler = handler;
}

const char *report_words(enum fault fault)
{
    REQUIRE((unsigned)fault < FAULT_COUNT);
    return words[fault];
}

NORETURN COLD void report_fault(enum fault fault, const void *pointer, size_t size)
{
    const char *what = report_words(fault);
    /* A handler that faults itself, or a second thread that faults meanwhile, must not enter it
     * again. */
    if (program.handler != NULL && !atomic_flag_test_and_set(&program.was_called)) {
        program.handler(what, pointer, size, program.context);
    }

    struct line line;
    line_start(&line);
    line_text(&line, "fatal: ");
    line_text(&line, what);
    line_text(&line, ": pointer ");
    line_pointer(&line, pointer);
    line_text(&line, ", size ");
    line_number(&line, size);
    line_write(&line);
    abort();
}

NORETURN COLD void report_unexpected(const char *call, int error)
{
    struct line line;
    line_start(&line);
    line_text(&line, "fatal: unexpected error ");
    line_number(&line, (uint64_t)error);
    line_text(&line, " from ");
    line_text(&line, call);
    line_write(&line);
    abort();
}

COLD void report_notice(const char *text)
{
    struct line line;
    line_start(&line);
    line_text(&line, text);
    line_write(&line);
}
