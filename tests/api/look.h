/* SPDX-License-Identifier: ISC */
/*
 * What the kernel says of this process: the other side of what the library says of itself. Reads
 * /proc into buffers on the stack, so that looking does not change what is seen.
 */
#ifndef SECURE_MALLOC_TESTS_API_LOOK_H
#define SECURE_MALLOC_TESTS_API_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapping {
    uintptr_t start, end;
    char access[5];    /* as maps shows it: "rw-p" */
    uint64_t resident; /* bytes; this and what follows are 0 where only maps was read */
    uint64_t anonymous;
    uint64_t locked; /* of the resident ones */
    uint64_t huge;
    bool is_locked, on_fault, is_dumpable, is_mergeable, is_hugeless, wipes_on_fork, not_forked;
};

/* Stops when the visitor says so; true: it did. */
typedef bool mapping_visit(const struct mapping *mapping, void *context);
bool look_at_mappings(mapping_visit *visit, void *context);

/* The mapping that holds this address; ends the test if there is none. */
struct mapping look_at(const void *address);

/* Of the library's own address space, found page by page with secure_owns. */
struct ours {
    uint64_t mappings;
    uint64_t bytes;         /* of address space */
    uint64_t locked_bytes;  /* in mappings that are locked: what counts against RLIMIT_MEMLOCK */
    uint64_t open_unlocked; /* in mappings that can be read and are not locked */
    uint64_t open_dumpable, open_mergeable, open_huge_allowed;
    uint64_t resident; /* of the mappings that hold any of it */
    uint64_t resident_locked;
};
struct ours look_at_ours(void);

/* Bytes of this process that have a page of their own, by smaps: /proc/self/status counts lazily,
 * and pages of the program's file come and go with what is called. */
uint64_t look_anonymous(void);

/* Lines of /proc/self/maps. */
size_t look_mappings(void);

/* A field of /proc/self/status, in bytes: "VmLck", "VmRSS". */
uint64_t look_status(const char *field);

size_t page_size(void);

#endif
