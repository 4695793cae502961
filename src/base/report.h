/* SPDX-License-Identifier: ISC */
/*
 * What is said when memory is corrupt or the library is misused, and how the process ends. The
 * words are a contract: DIAGNOSTICS in secure_malloc(7), and the tests, name them.
 *
 * The caller holds no mutex of ours: the program's handler runs first, and may call us.
 */
#ifndef SECURE_MALLOC_BASE_REPORT_H
#define SECURE_MALLOC_BASE_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

enum fault {
    FAULT_DOUBLE_FREE,
    FAULT_INVALID_POINTER,
    FAULT_INTERIOR_POINTER,
    FAULT_WRONG_SIZE,
    FAULT_BUFFER_OVERFLOW,
    FAULT_BUFFER_UNDERFLOW,
    FAULT_WRITE_AFTER_FREE,
    FAULT_COUNT
};

typedef void report_handler(const char *what, const void *pointer, size_t size, void *context);

/* Set once, before there is a second thread that could report. */
void report_set_handler(report_handler *handler, void *context);

/* The handler, then "secure_malloc: fatal: <what>: pointer 0x..., size N", then abort(). A fault
 * within the handler is reported without it. */
NORETURN COLD void report_fault(enum fault fault, const void *pointer, size_t size);

/* A system call failed in a way that only a bug of ours explains:
 * "secure_malloc: fatal: unexpected error N from <call>", then abort(). */
NORETURN COLD void report_unexpected(const char *call, int error);

/* "secure_malloc: <text>" on stderr; the process goes on. */
COLD void report_notice(const char *text);

const char *report_words(enum fault fault);

#endif
