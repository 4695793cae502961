/* SPDX-License-Identifier: ISC */
/*
 * The check of our own logic, for debug builds and white-box tests: a broken invariant prints one
 * line and aborts. Checks of the caller's buffers are not these: they are in every build, and go
 * through base/report.h.
 */
#ifndef SECURE_MALLOC_BASE_CHECK_H
#define SECURE_MALLOC_BASE_CHECK_H

#include <stdbool.h>

#include "base/attributes.h"

#ifndef SECURE_MALLOC_DEBUG
#define SECURE_MALLOC_DEBUG 0
#endif

/* Always on: for the _validate() functions, which only debug builds and tests call. */
#define REQUIRE(condition) ((condition) ? (void)0 : check_failed(#condition, CHECK_FILE, __LINE__))

/* In debug builds only: for the places that every allocation passes. */
#define INVARIANT(condition)                                                                       \
    (SECURE_MALLOC_DEBUG && !(condition) ? check_failed(#condition, CHECK_FILE, __LINE__) : (void)0)

/* __FILE__ would put the builder's folder into the library where prefix maps are missing. */
#ifdef __FILE_NAME__
#define CHECK_FILE __FILE_NAME__
#else
#define CHECK_FILE __FILE__
#endif

/* secure_malloc: fatal: broken invariant: <condition>, <file>:<line> */
NORETURN COLD void check_failed(const char *condition, const char *file, int line);

#endif
