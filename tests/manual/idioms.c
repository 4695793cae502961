/* SPDX-License-Identifier: ISC */
/* The section IDIOMS of secure_malloc(3), each display a block: they compile, and are never run. */
#define _GNU_SOURCE
#include <secure_malloc.h>
#include <stdlib.h>
#include <string.h>

void read_password(char *line, size_t size);
int failed(void *left);
int idioms(char *buffer, size_t size, const void *tag, const void *expected, const char *name);

int idioms(char *buffer, size_t size, const void *tag, const void *expected, const char *name)
{
    size_t count = size;
    struct {
        char bytes[32];
    } *keys = NULL;
    char *password = NULL;
    bool ok = false;

#include "idioms.inc"

    return ok && keys != NULL && password != NULL;
}
