/* SPDX-License-Identifier: ISC */
/* What the tests are built with: 1 or 0. */
#ifndef SECURE_MALLOC_TESTS_SANITIZER_H
#define SECURE_MALLOC_TESTS_SANITIZER_H

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZED 1
#endif
#endif

#ifndef THREAD_SANITIZED
#define THREAD_SANITIZED 0
#endif

#endif
