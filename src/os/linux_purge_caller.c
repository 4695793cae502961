/* SPDX-License-Identifier: ISC */
/* Giving pages back, the caller's own, whose locks are to stay as they are. */
#include <errno.h>

#include "base/wipe.h"
#include "os/linux_calls.h"
#include "os/os.h"

/* Mappings are looked up some at a time: a scan of smaps walks all of the process's page tables. */
enum { STRETCHES = 32, PAGES_ASKED = 256 };

struct stretch {
    uintptr_t start;
    uintptr_t end;
    bool locked, on_fault;
};

struct stretches {
    uintptr_t from; /* what is still to be done */
    uintptr_t to;
    size_t count;
    struct stretch list[STRETCHES];
};

static int collect(const struct os_mapping *mapping, void *context)
{
    struct stretches *found = context;
    if (mapping->end <= found->from) {
        return 0;
    }
    if (mapping->start >= found->to || found->count == STRETCHES) {
        return 1;
    }
    found->list[found->count++] = (struct stretch){
        .start = mapping->start > found->from ? mapping->start : found->from,
        .end = mapping->end < found->to ? mapping->end : found->to,
        .locked = mapping->locked,
        .on_fault = mapping->lock_on_fault,
    };
    return 0;
}

/* Only what is resident: to write to the rest would make it so. What cannot be asked about is
 * wiped. */
static void wipe_resident(char *start, size_t size)
{
    const size_t page = os_page_size();
    unsigned char resident[PAGES_ASKED] = {0};
    while (size > 0) {
        const size_t part = size < page * PAGES_ASKED ? size : page * PAGES_ASKED;
        const bool knows = call_mincore(start, part, resident) == 0;
        for (size_t at = 0; at < part; at += page) {
            if (!knows || (resident[at / page] & 1) != 0) {
                wipe(start + at, page);
            }
        }
        start += part;
        size -= part;
    }
}

static int lock_as_before(void *start, size_t size, bool on_fault)
{
    return on_fault ? os_pages_lock(start, size) : calls_ordinary("mlock", call_mlock(start, size));
}

static int release(const struct stretch *stretch)
{
    char *start = (char *)stretch->start;
    const size_t size = stretch->end - stretch->start;
    if (!stretch->locked) {
        return calls_ordinary("madvise", call_madvise(start, size, MADV_DONTNEED));
    }
    wipe_resident(start, size);
    int error = calls_ordinary("munlock", call_munlock(start, size));
    int discarded = 0;
    if (error == 0) {
        discarded = calls_ordinary("madvise", call_madvise(start, size, MADV_DONTNEED));
    }
    /* Also after a failed munlock, which may have got halfway. */
    int relocked = lock_as_before(start, size, stretch->on_fault);
    error = error != 0 ? error : discarded;
    return error != 0 ? error : relocked;
}

/* Goes on after an error, so that the contents of all of it are gone in any case. */
static int release_each(struct stretches *left)
{
    int first_error = 0;
    while (left->from < left->to) {
        left->count = 0;
        int error = os_mappings_visit(collect, left);
        if (error < 0) {
            return error;
        }
        if (left->count == 0) {
            return -ENOMEM; /* somebody has unmapped it meanwhile */
        }
        for (size_t i = 0; i < left->count; i++) {
            error = release(&left->list[i]);
            first_error = first_error != 0 ? first_error : error;
        }
        left->from = left->list[left->count - 1].end;
    }
    return first_error;
}

int os_caller_pages_release(struct os_purger *purger, void *start, size_t size)
{
    if (purger->way != OS_PURGE_FALLBACK) {
        long error = call_madvise(start, size, ADVICE_DONTNEED_LOCKED);
        if (!calls_is_refused(error)) {
            return calls_ordinary("madvise", error);
        }
        purger->way = OS_PURGE_FALLBACK;
    }
    struct stretches left = {.from = (uintptr_t)start, .to = (uintptr_t)start + size};
    return release_each(&left);
}
