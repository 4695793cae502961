/* SPDX-License-Identifier: ISC */
/* Reads /proc/self: see figures.h. read(2) into one static buffer, so only one thread may ask. */
#include "figures.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_SIZE = 16 * 1024, KIB = 1024 };

/* Takes a line without its end; returns false when it wants no more. */
typedef bool (*line_taker)(const char *line, void *context);

/* Hands every line of a file to take. 0 or -errno. */
static int each_line(const char *path, line_taker take, void *context)
{
    static char buffer[BUFFER_SIZE];
    size_t held = 0;
    ssize_t got = 0;
    bool wants_more = true;

    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return -errno;
    }
    while (wants_more && (got = read(file, buffer + held, sizeof buffer - held - 1)) > 0) {
        held += (size_t)got;
        buffer[held] = '\0';
        char *line = buffer;
        char *end = NULL;
        while (wants_more && (end = strchr(line, '\n')) != NULL) {
            *end = '\0';
            wants_more = take(line, context);
            line = end + 1;
        }
        held -= (size_t)(line - buffer);
        memmove(buffer, line, held);
    }
    const int error = got < 0 ? -errno : 0;
    (void)close(file);
    return error;
}

/* "Rss:   12 kB" with the name "Rss:" gives 12288. Is it that line? */
static bool take_size(const char *line, const char *name, uint64_t *bytes)
{
    if (strncmp(line, name, strlen(name)) != 0) {
        return false;
    }
    *bytes = strtoull(line + strlen(name), NULL, 10) * KIB;
    return true;
}

static bool take_status(const char *line, void *context)
{
    struct figures *figures = context;

    (void)take_size(line, "VmRSS:", &figures->resident);
    (void)take_size(line, "VmLck:", &figures->locked);
    return true;
}

static bool take_rollup(const char *line, void *context)
{
    return !take_size(line, "Rss:", context);
}

static bool count_line(const char *line, void *context)
{
    uint64_t *count = context;

    (void)line;
    ++*count;
    return true;
}

int figures_read(struct figures *figures)
{
    *figures = (struct figures){0, 0, 0};
    int error = each_line("/proc/self/status", take_status, figures);
    if (error == 0) {
        error = each_line("/proc/self/maps", count_line, &figures->mappings);
    }
    if (error == 0) {
        /* VmRSS is a sum of rough counters; this walks the pages. Not on every kernel. */
        (void)each_line("/proc/self/smaps_rollup", take_rollup, &figures->resident);
    }
    return error;
}

struct search {
    uint64_t address;
    bool is_inside; /* the lines now are about the mapping that we look for */
    bool is_found;
    struct figures_mapping *mapping;
};

/* "7f00-7f80 rw-p ..." starts a mapping; its sizes follow, and its flags come last. */
static bool take_smaps(const char *line, void *context)
{
    struct search *search = context;
    char *rest = NULL;

    const uint64_t start = strtoull(line, &rest, 16);
    if (rest != line && *rest == '-') {
        const uint64_t end = strtoull(rest + 1, NULL, 16);
        search->is_inside = search->address >= start && search->address < end;
        search->is_found |= search->is_inside;
        return true;
    }
    if (!search->is_inside) {
        return true;
    }
    (void)take_size(line, "Size:", &search->mapping->size);
    (void)take_size(line, "Rss:", &search->mapping->resident);
    if (strncmp(line, "VmFlags:", strlen("VmFlags:")) != 0) {
        return true;
    }
    /* Kernels before 6.12 or so know the flag but have no name for it. */
    search->mapping->is_locked = strstr(line, " lo") != NULL;
    search->mapping->is_on_fault = strstr(line, " lf") != NULL || strstr(line, " ??") != NULL;
    return false;
}

int figures_read_mapping(struct figures_mapping *mapping, const void *address)
{
    struct search search = {.address = (uint64_t)(uintptr_t)address, .mapping = mapping};

    *mapping = (struct figures_mapping){0, 0, false, false};
    const int error = each_line("/proc/self/smaps", take_smaps, &search);
    return error != 0 ? error : search.is_found ? 0 : -ENOENT;
}
