/* SPDX-License-Identifier: ISC */
/* Locking memory, and the whole process. */
#include <errno.h>

#include "os/linux_calls.h"
#include "os/os.h"

/* MADV_COLD refuses a locked page, and changes no contents. */
static bool is_locked(char *page)
{
    return call_madvise(page, os_page_size(), ADVICE_COLD) == -EINVAL;
}

/*
 * Is the whole range locked, although a plain mlock said ENOMEM? It says so at a limit, but also
 * when all is locked and a guard page could not be populated. The kernel goes in the order of
 * addresses and splits mappings at the two ends alone, so the first and the last page speak for
 * all. Asked of no bytes, MADV_COLD says whether the kernel knows it: every one with guard pages
 * does.
 */
static bool is_locked_but_not_populated(char *start, size_t size)
{
    return call_madvise(start, 0, ADVICE_COLD) == 0 && is_locked(start) &&
           is_locked(start + size - os_page_size());
}

int os_pages_lock(void *start, size_t size)
{
    long error = call_mlock2(start, size);
    if (calls_is_refused(error)) {
        error = call_mlock(start, size);
        if (error == -ENOMEM && is_locked_but_not_populated(start, size)) {
            error = 0;
        }
    }
    if (error != 0) {
        (void)call_munlock(start, size);
    }
    return calls_ordinary("mlock", error);
}

int os_pages_unlock(void *start, size_t size)
{
    /* MADV_COLD refuses a range with a locked page in it, and does nothing to one without pages:
     * mostly there is no lock to take off, and then no need for mmap_lock to be taken for writing.
     */
    if (call_madvise(start, size, ADVICE_COLD) == 0) {
        return 0;
    }
    return calls_ordinary("munlock", call_munlock(start, size));
}

int os_pages_relock(void *start, size_t size, enum os_access access)
{
    int error = os_pages_lock(start, size);
    if (error != -ENOMEM || access == OS_READ_WRITE) {
        return error;
    }
    error = os_pages_protect(start, size, OS_READ_WRITE);
    if (error != 0) {
        return error;
    }
    error = os_pages_lock(start, size);
    int closed = os_pages_protect(start, size, access);
    return error != 0 ? error : closed;
}

int os_process_lock(void)
{
    long error = call_mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
    if (error == -EINVAL || error == -ENOSYS) { /* also a kernel before 4.4, without MCL_ONFAULT */
        return -EPERM;
    }
    return calls_ordinary("mlockall", error);
}
