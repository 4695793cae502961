/* SPDX-License-Identifier: ISC */
/*
 * Starts a program on a kernel that refuses some system calls:
 *
 *     with-filter madvise:24=EINVAL mlock2=ENOSYS -- program argument...
 *
 * Exit status: the program's own, or 125 if it could not be started so.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/seccomp.h"

enum { CANNOT_START = 125 };

struct named {
    const char *name;
    long number;
};

static const struct named calls[] = {
    {"getrandom", SYS_getrandom},
    {"madvise", SYS_madvise},
    {"mlock", SYS_mlock},
    {"mlock2", SYS_mlock2},
    {"mlockall", SYS_mlockall},
    {"munlock", SYS_munlock},
    {"prctl", SYS_prctl},
    {"prlimit64", SYS_prlimit64},
    {"process_madvise", SYS_process_madvise},
};

static const struct named errors[] = {
    {"EACCES", EACCES}, {"EAGAIN", EAGAIN}, {"EINVAL", EINVAL},
    {"ENOMEM", ENOMEM}, {"ENOSYS", ENOSYS}, {"EPERM", EPERM},
};

/* -1 if there is no such name. */
static long find(const struct named *table, size_t count, const char *name, size_t length)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(table[i].name) == length && memcmp(table[i].name, name, length) == 0) {
            return table[i].number;
        }
    }
    return -1;
}

/* text: call=ERROR or call:advice=ERROR. */
static bool apply(const char *text)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL) {
        return false;
    }
    const char *colon = memchr(text, ':', (size_t)(equals - text));
    const char *name_end = colon != NULL ? colon : equals;
    const long call =
        find(calls, sizeof(calls) / sizeof(calls[0]), text, (size_t)(name_end - text));
    const long error =
        find(errors, sizeof(errors) / sizeof(errors[0]), equals + 1, strlen(equals + 1));
    if (call < 0 || error < 0) {
        return false;
    }
    if (colon == NULL) {
        return filter_syscall(call, (int)error) == 0;
    }
    char *end = NULL;
    const long advice = strtol(colon + 1, &end, 10);
    if (end != equals || end == colon + 1) {
        return false;
    }
    if (call == SYS_madvise) {
        return filter_madvise((int)advice, (int)error) == 0;
    }
    return call == SYS_process_madvise && filter_process_madvise((int)advice, (int)error) == 0;
}

int main(int argc, char **argv)
{
    int i = 1;
    for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (!apply(argv[i])) {
            fprintf(stderr, "with-filter: cannot apply %s\n", argv[i]);
            return CANNOT_START;
        }
    }
    if (i + 1 >= argc) {
        fputs("usage: with-filter call[:advice]=ERROR... -- program argument...\n", stderr);
        return CANNOT_START;
    }
    execvp(argv[i + 1], argv + i + 1);
    perror(argv[i + 1]);
    return CANNOT_START;
}
