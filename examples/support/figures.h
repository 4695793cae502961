/* SPDX-License-Identifier: ISC */
/*
 * What the kernel says about this process's memory. For programs that show what the library does;
 * allocates nothing, so that looking does not change what is seen.
 */
#ifndef EXAMPLES_FIGURES_H
#define EXAMPLES_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

struct figures {
    uint64_t resident; /* bytes with a page of RAM */
    uint64_t locked;   /* VmLck: what counts against RLIMIT_MEMLOCK */
    uint64_t mappings; /* VMAs */
};

/* 0 or -errno. */
int figures_read(struct figures *figures);

/* The same for the one mapping that holds this address, and how it is locked. */
struct figures_mapping {
    uint64_t size;
    uint64_t resident;
    bool is_locked;
    bool is_on_fault; /* locked as its pages are touched, not all at once */
};

/* 0, or -errno; -ENOENT: no mapping holds the address. */
int figures_read_mapping(struct figures_mapping *mapping, const void *address);

#endif
