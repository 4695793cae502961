/* SPDX-License-Identifier: ISC */
#include "base/wipe.h"

#include <string.h>

void wipe(void *start, size_t size)
{
    explicit_bzero(start, size);
}

typedef uint64_t racing_word __attribute__((may_alias));

/* A call to memset or explicit_bzero would be intercepted, so this loop is our own; volatile keeps
 * its stores, and keeps the compiler from making a memset of it. */
RACES_ON_PURPOSE void wipe_racing(void *start, size_t size)
{
    volatile char *at = start;
    volatile char *const end = at + size;
    while (at < end && (uintptr_t)at % sizeof(racing_word) != 0) {
        *at++ = 0;
    }
    for (; (size_t)(end - at) >= sizeof(racing_word); at += sizeof(racing_word)) {
        *(volatile racing_word *)at = 0;
    }
    while (at < end) {
        *at++ = 0;
    }
}

bool bytes_equal(const void *a, const void *b, size_t size)
{
    const unsigned char *left = a;
    const unsigned char *right = b;
    unsigned difference = 0;
    for (size_t i = 0; i < size; i++) {
        difference |= (unsigned)(left[i] ^ right[i]);
        /* The compiler must not learn that one difference settles the answer. */
        __asm__ volatile("" : "+r"(difference));
    }
    return difference == 0;
}
