/* SPDX-License-Identifier: ISC */
/*
 * A secret that can be looked for: the test knows it only under a mask, so whatever finds it as it
 * is has found a copy that the library, or the program, left behind.
 */
#ifndef SECURE_MALLOC_TESTS_API_SECRET_H
#define SECURE_MALLOC_TESTS_API_SECRET_H

#include <stdbool.h>
#include <stddef.h>

enum { SECRET_SIZE = 32 };

/* A new secret, known from now on in this process and its children. */
void secret_make(void);

/* Writes it, byte by byte. */
void secret_write(void *to);
bool secret_is_at(const void *at);

/* In how many places of this process's memory it lies. */
size_t secret_count(void);

/* In how many places of a file. */
size_t secret_count_in_file(const char *path);

/* The control: the secret, but for its last byte. What looks for the one does not find the other.
 */
void secret_write_control(void *to);
size_t secret_count_control_in_file(const char *path);

#endif
