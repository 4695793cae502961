/* SPDX-License-Identifier: ISC */
/* What the kernel says of this process's memory, read without the code under test. */
#ifndef SECURE_MALLOC_TESTS_UNIT_OS_VIEW_H
#define SECURE_MALLOC_TESTS_UNIT_OS_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct view {
    uintptr_t start, end;
    char access[5];                  /* "rw-p" */
    unsigned long resident, swapped; /* bytes */
    char flags[256];                 /* " rd wr mr mw me lo lf ac dd " */
};

/* The mapping that holds this address; all zero if there is none. */
static inline struct view view_of(const void *address)
{
    struct view found = {0};
    char line[512];
    FILE *file = fopen("/proc/self/smaps", "re");
    bool is_in_it = false;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        unsigned long start = 0;
        unsigned long end = 0;
        char access[5];
        unsigned long size = 0;
        if (sscanf(line, "%lx-%lx %4s", &start, &end, access) == 3) {
            is_in_it = start <= (uintptr_t)address && (uintptr_t)address < end;
            if (is_in_it) {
                found.start = start;
                found.end = end;
                memcpy(found.access, access, sizeof(access));
            }
        } else if (is_in_it && sscanf(line, "Rss: %lu", &size) == 1) {
            found.resident = size * 1024;
        } else if (is_in_it && sscanf(line, "Swap: %lu", &size) == 1) {
            found.swapped = size * 1024;
        } else if (is_in_it && strncmp(line, "VmFlags:", 8) == 0) {
            snprintf(found.flags, sizeof(found.flags), "%.250s", line + 8);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return found;
}

/* flag: " lo " */
static inline bool view_has(const void *address, const char *flag)
{
    const struct view view = view_of(address);
    return strstr(view.flags, flag) != NULL;
}

static inline bool view_is_locked(const void *address)
{
    return view_has(address, " lo ");
}

/* Kernels before 6.12 or so print "??". */
static inline bool view_is_locked_on_fault(const void *address)
{
    return view_is_locked(address) && (view_has(address, " lf ") || view_has(address, " ?? "));
}

static inline bool view_is_resident(const void *page)
{
    unsigned char resident = 0;
    return mincore((void *)(uintptr_t)page, 1, &resident) == 0 && (resident & 1) != 0;
}

/* VmLck: the bytes that are charged to this process's lock limit. */
static inline unsigned long view_charged(void)
{
    unsigned long kib = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        sscanf(line, "VmLck: %lu", &kib);
    }
    if (file != NULL) {
        fclose(file);
    }
    return kib * 1024;
}

static inline unsigned long view_count_mappings(void)
{
    unsigned long lines = 0;
    char line[512];
    FILE *file = fopen("/proc/self/maps", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        lines += strchr(line, '\n') != NULL;
    }
    if (file != NULL) {
        fclose(file);
    }
    return lines;
}

/* Is every byte of the range this one? */
static inline bool view_is_all(const void *start, size_t size, unsigned char byte)
{
    const volatile unsigned char *bytes = start;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != byte) {
            return false;
        }
    }
    return true;
}

#endif
