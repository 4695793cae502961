/* SPDX-License-Identifier: ISC */
/*
 * A line of text, built without stdio (which calls malloc) in a fixed buffer and written with one
 * write(2). What does not fit is cut; the newline always fits. Async-signal-safe.
 */
#ifndef SECURE_MALLOC_BASE_LINE_H
#define SECURE_MALLOC_BASE_LINE_H

#include <stddef.h>
#include <stdint.h>

struct line {
    size_t used;
    char text[256];
};

void line_start(struct line *line); /* "secure_malloc: " */
void line_text(struct line *line, const char *text);
void line_bytes(struct line *line, const char *text, size_t size); /* control bytes become '?' */
void line_number(struct line *line, uint64_t number);
void line_pointer(struct line *line, const void *pointer); /* 0x... */
void line_write(struct line *line);                        /* newline, fd 2, errno kept */

#endif
