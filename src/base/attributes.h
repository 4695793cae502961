/* SPDX-License-Identifier: ISC */
/* The GNU attributes that the code uses, under short names. */
#ifndef SECURE_MALLOC_BASE_ATTRIBUTES_H
#define SECURE_MALLOC_BASE_ATTRIBUTES_H

#define LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#define COLD     __attribute__((cold, noinline))
#define NOINLINE __attribute__((noinline))
#define NORETURN __attribute__((noreturn))
#define INLINE   static inline __attribute__((always_inline))

/* What processors pass to and fro between them. */
enum { CACHE_LINE = 64 };

/* Before a loop whose count the compiler knows: no loop at all. */
#ifdef __clang__
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED _Pragma("GCC unroll 64")
#endif

/* Reads or writes what another thread may wipe at the same time: secure_zeroize races with the
 * program on purpose. */
#define RACES_ON_PURPOSE __attribute__((no_sanitize("thread")))

#endif
