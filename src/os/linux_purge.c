/* SPDX-License-Identifier: ISC */
/* Giving pages back, the library's own. */
#include <errno.h>

#include "os/linux_calls.h"
#include "os/os.h"

/* Stand for this process where a pidfd is asked for, so that no descriptor is kept that the program
 * could close. Linux 6.15 or so; -EBADF before. The group's number finds nothing (-ESRCH) once the
 * main thread has ended. */
enum { SELF_THREAD = -10000, SELF_GROUP = -10001 };

/* A batch lies on the stack of a thread of the program's, which may have 16 KiB in all. */
enum { BATCH_RANGES = 128 };

static bool is_batch_refused(long error)
{
    return calls_is_refused(error) || error == -EBADF || error == -ESRCH;
}

static long discard_batch(struct os_purger *purger, const struct iovec *parts, size_t count)
{
    static const int selves[] = {SELF_THREAD, SELF_GROUP};
    long result = 0;
    for (size_t i = 0; i < sizeof(selves) / sizeof(selves[0]); i++) {
        purger->system_calls++;
        result = call_process_madvise(selves[i], parts, count, ADVICE_DONTNEED_LOCKED);
        if (!is_batch_refused(result)) {
            break;
        }
    }
    return result;
}

void os_purge_probe(struct os_purger *purger)
{
    const size_t size = os_page_size();
    *purger = (struct os_purger){.way = OS_PURGE_FALLBACK};
    void *page = NULL;
    if (call_mmap(NULL, size, 0, &page) != 0) {
        return;
    }
    volatile char *byte = page;
    if (call_mprotect(page, size, PROT_READ | PROT_WRITE) == 0) {
        *byte = 1;
        if (call_madvise(page, size, ADVICE_DONTNEED_LOCKED) == 0 && *byte == 0) {
            purger->way = OS_PURGE_LOCKED;
            *byte = 1;
            const struct iovec part = {page, size};
            if (discard_batch(purger, &part, 1) == (long)size && *byte == 0) {
                purger->way = OS_PURGE_BATCHED;
            }
            purger->system_calls = 0;
        }
    }
    (void)call_munmap(page, size);
}

static long counted(struct os_purger *purger, long result)
{
    purger->system_calls++;
    return result;
}

static enum os_purge_result discard_unlocked(struct os_purger *purger, void *start, size_t size)
{
    long error = counted(purger, call_madvise(start, size, MADV_DONTNEED));
    if (error == -EINVAL) { /* someone's mlockall has locked it */
        (void)counted(purger, call_munlock(start, size));
        error = counted(purger, call_madvise(start, size, MADV_DONTNEED));
    }
    return error == 0 ? OS_PURGED : OS_RESIDENT;
}

/* Pages that stay resident: here a plain mlock will do where there is no mlock2. */
static enum os_purge_result keep_resident(struct os_purger *purger, void *start, size_t size)
{
    return counted(purger, os_pages_lock(start, size)) == 0 ? OS_RESIDENT : OS_UNLOCKED;
}

static enum os_purge_result unlock_and_discard(struct os_purger *purger, void *start, size_t size)
{
    /* Cannot split a mapping at the limit on mappings. Across several it may have got halfway. */
    if (counted(purger, call_munlock(start, size)) != 0 ||
        counted(purger, call_madvise(start, size, MADV_DONTNEED)) != 0) {
        return keep_resident(purger, start, size);
    }
    if (counted(purger, call_mlock2(start, size)) != 0) {
        (void)counted(purger, call_munlock(start, size));
        return OS_UNLOCKED;
    }
    return OS_PURGED;
}

static void purge_one(struct os_purger *purger, struct os_range *range)
{
    if (purger->way != OS_PURGE_FALLBACK) {
        long error =
            counted(purger, call_madvise(range->start, range->size, ADVICE_DONTNEED_LOCKED));
        if (!calls_is_refused(error)) {
            range->result = calls_ordinary("madvise", error) == 0 ? OS_PURGED : OS_RESIDENT;
            return;
        }
        purger->way = OS_PURGE_FALLBACK;
    }
    range->result = range->locked ? unlock_and_discard(purger, range->start, range->size)
                                  : discard_unlocked(purger, range->start, range->size);
}

/* Returns how many ranges, from the first, were dealt with. */
static size_t purge_batch(struct os_purger *purger, struct os_range *ranges, size_t count)
{
    struct iovec parts[BATCH_RANGES] = {{NULL, 0}};
    count = count < BATCH_RANGES ? count : BATCH_RANGES;
    for (size_t i = 0; i < count; i++) {
        parts[i] = (struct iovec){ranges[i].start, ranges[i].size};
    }
    long discarded = discard_batch(purger, parts, count);
    if (is_batch_refused(discarded)) {
        purger->way = OS_PURGE_LOCKED;
        return 0;
    }
    size_t done = 0;
    size_t left = discarded > 0 ? (size_t)discarded : 0;
    while (done < count && left >= ranges[done].size) {
        left -= ranges[done].size;
        ranges[done++].result = OS_PURGED;
    }
    if (done == 0) { /* the first range alone says what is wrong with it */
        purge_one(purger, &ranges[done++]);
    }
    return done;
}

void os_pages_purge(struct os_purger *purger, struct os_range *ranges, size_t count)
{
    size_t done = 0;
    while (done < count && purger->way == OS_PURGE_BATCHED) {
        done += purge_batch(purger, ranges + done, count - done);
    }
    for (; done < count; done++) {
        purge_one(purger, &ranges[done]);
    }
}
