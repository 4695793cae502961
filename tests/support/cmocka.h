/* SPDX-License-Identifier: ISC */
/* cmocka.h, with the headers that it expects to have been included. */
#ifndef SECURE_MALLOC_TESTS_SUPPORT_CMOCKA_H
#define SECURE_MALLOC_TESTS_SUPPORT_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* IWYU pragma: export */

#endif
