/* SPDX-License-Identifier: ISC */
/* Address space: reserved, opened, closed, advised. */
#include <errno.h>

#include "os/linux_calls.h"
#include "os/os.h"

static int reserve(size_t size, void **start)
{
    int error = calls_ordinary("mmap", call_mmap(NULL, size, 0, start));
    if (error != 0) {
        return error;
    }
    error = os_pages_unlock(*start, size);
    if (error != 0) {
        os_pages_unreserve(*start, size);
    }
    return error;
}

int os_pages_reserve(size_t size, size_t alignment, void **start)
{
    const size_t spare = alignment - os_page_size();
    if (size > SIZE_MAX - spare) {
        return -ENOMEM;
    }
    void *whole = NULL;
    int error = reserve(size + spare, &whole);
    if (error != 0) {
        return error;
    }
    const size_t before = (alignment - (uintptr_t)whole % alignment) % alignment;
    char *aligned = (char *)whole + before;
    if (before > 0) {
        os_pages_unreserve(whole, before);
    }
    if (spare > before) {
        os_pages_unreserve(aligned + size, spare - before);
    }
    *start = aligned;
    return 0;
}

void os_pages_unreserve(void *start, size_t size)
{
    /* The kernel may have merged it with a neighbour, and cannot split that again at the limit on
     * mappings. Then it stays, inaccessible and not charged. */
    (void)calls_ordinary("munmap", call_munmap(start, size));
}

int os_pages_open_bookkeeping(void *start, size_t size)
{
    /* Someone's mlockall may have locked it. If it stays locked, it costs but does no harm. */
    (void)os_pages_unlock(start, size);
    return calls_ordinary("mprotect", call_mprotect(start, size, PROT_READ | PROT_WRITE));
}

int os_pages_open(void *start, size_t size, bool keep_unlocked, int *lock_error)
{
    *lock_error = 0;
    int error = os_pages_unlock(start, size);
    if (error != 0) {
        return error;
    }
    error = calls_ordinary("mprotect", call_mprotect(start, size, PROT_READ | PROT_WRITE));
    if (error == 0) {
        *lock_error = os_pages_lock(start, size);
        if (*lock_error == 0 || keep_unlocked) {
            return 0;
        }
        error = *lock_error;
    }
    /* Nothing was written yet, so pages that could not be closed would do no harm. A plain mlock
     * that failed halfway has left some that are resident. */
    (void)calls_ordinary("mprotect", call_mprotect(start, size, PROT_NONE));
    (void)call_madvise(start, size, MADV_DONTNEED);
    return error;
}

int os_pages_close(void *start, size_t size)
{
    int error = calls_ordinary("mprotect", call_mprotect(start, size, PROT_NONE));
    if (error == 0) {
        error = calls_ordinary("munlock", call_munlock(start, size));
    }
    if (error == 0) {
        (void)call_madvise(start, size, MADV_DONTNEED);
        return 0;
    }
    /* The range may be several mappings, and the first of them closed. Opening them again splits
     * nothing, so it cannot fail for the same reason. */
    (void)calls_ordinary("mprotect", call_mprotect(start, size, PROT_READ | PROT_WRITE));
    (void)os_pages_lock(start, size);
    return error;
}

int os_pages_protect(void *start, size_t size, enum os_access access)
{
    static const int protections[] = {
        [OS_NO_ACCESS] = PROT_NONE,
        [OS_READ_ONLY] = PROT_READ,
        [OS_READ_WRITE] = PROT_READ | PROT_WRITE,
    };
    return calls_ordinary("mprotect", call_mprotect(start, size, protections[access]));
}

int os_pages_discard(void *start, size_t size)
{
    if (call_madvise(start, size, ADVICE_DONTNEED_LOCKED) == 0) {
        return 0;
    }
    int error = calls_ordinary("munlock", call_munlock(start, size));
    return error != 0 ? error : calls_ordinary("madvise", call_madvise(start, size, MADV_DONTNEED));
}

bool os_pages_populate(void *start, size_t size)
{
    return call_madvise(start, size, ADVICE_POPULATE_WRITE) == 0;
}

bool os_pages_replace(void *start, size_t size, bool may_be_foreign)
{
    void *mapped = NULL;
    /* Without MAP_FIXED the place is a wish, which the kernel grants if all of it is free. */
    long error = call_mmap(start, size, may_be_foreign ? 0 : MAP_FIXED, &mapped);
    if (error == 0 && mapped != start) {
        os_pages_unreserve(mapped, size);
        return false;
    }
    if (error == 0) {
        (void)calls_ordinary("munlock", call_munlock(start, size));
        return true;
    }
    return !may_be_foreign && os_pages_close(start, size) == 0;
}

int os_pages_advise(void *start, size_t size, enum os_fork fork)
{
    static const int fork_advice[] = {
        [OS_FORK_WIPE] = MADV_WIPEONFORK,
        [OS_FORK_DROP] = MADV_DONTFORK,
    };
    const struct {
        int advice;
        bool may_be_missing;
    } wanted[] = {
        {MADV_DONTDUMP, false},
        {MADV_NOHUGEPAGE, true},
        {MADV_UNMERGEABLE, true},
        {fork_advice[fork], false},
    };
    const size_t count = sizeof(wanted) / sizeof(wanted[0]) - (fork == OS_FORK_KEEP);

    int first_error = 0;
    for (size_t i = 0; i < count; i++) {
        long error = call_madvise(start, size, wanted[i].advice);
        if (calls_is_refused(error) && wanted[i].may_be_missing) {
            continue;
        }
        int told = calls_is_refused(error) ? (int)error : calls_ordinary("madvise", error);
        first_error = first_error != 0 ? first_error : told;
    }
    return first_error;
}

bool os_guard_install(void *start, size_t size)
{
    long error = call_madvise(start, size, ADVICE_GUARD_INSTALL);
    return !calls_is_refused(error) && calls_ordinary("madvise", error) == 0;
}
