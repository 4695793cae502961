/* SPDX-License-Identifier: ISC */
/*
 * Each misuse that the library promises to find, one a row. A body does it in a child, and says
 * beforehand what the one line on stderr must then be.
 */
#ifndef SECURE_MALLOC_TESTS_DEATH_MISUSE_H
#define SECURE_MALLOC_TESTS_DEATH_MISUSE_H

#include <stdbool.h>
#include <stddef.h>

enum kind {
    SMALL,
    GUARDED
}; /* SMALL: secure_malloc, a slab's or a large buffer as the size says */

struct misuse {
    const char *name;
    void (*body)(const struct misuse *misuse);
    size_t size; /* of the buffer that is misused */
    enum kind kind;
    const char *what; /* NULL: it faults on a guard, and nothing is said */
};

extern const struct misuse misuse_freed[], misuse_pointers[], misuse_bytes[];
extern const size_t misuse_freed_count, misuse_pointers_count, misuse_bytes_count;

/* The buffer that is misused. */
char *misuse_buffer(const struct misuse *misuse);

/* The pointer, of which the compiler knows nothing. NULL: there is too little that may be locked.
 */
char *misuse_got(void *pointer);

/* The pointer and the size that the report must name. Called before the last act. */
void misuse_expect(const void *pointer, size_t size);

#endif
