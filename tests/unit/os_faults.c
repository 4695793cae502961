/* SPDX-License-Identifier: ISC */
#include "unit/os_faults.h"

#include <errno.h>
#include <string.h>

struct os_faults os_faults;

int __real_os_pages_reserve(size_t size, size_t alignment, void **start);
void __real_os_pages_unreserve(void *start, size_t size);
int __real_os_pages_open_bookkeeping(void *start, size_t size);
int __real_os_pages_open(void *start, size_t size, bool keep_unlocked, int *lock_error);
int __real_os_pages_close(void *start, size_t size);
int __real_os_pages_protect(void *start, size_t size, enum os_access access);
int __real_os_pages_advise(void *start, size_t size, enum os_fork fork);
int __real_os_pages_lock(void *start, size_t size);
int __real_os_pages_relock(void *start, size_t size, enum os_access access);
void __real_os_pages_purge(struct os_purger *purger, struct os_range *ranges, size_t count);
bool __real_os_guard_install(void *start, size_t size);
bool __real_os_pages_populate(void *start, size_t size);
uint64_t __real_os_lock_limit(void);
int __real_os_process_lock(void);

int __wrap_os_pages_reserve(size_t size, size_t alignment, void **start);
void __wrap_os_pages_unreserve(void *start, size_t size);
int __wrap_os_pages_open_bookkeeping(void *start, size_t size);
int __wrap_os_pages_open(void *start, size_t size, bool keep_unlocked, int *lock_error);
int __wrap_os_pages_close(void *start, size_t size);
int __wrap_os_pages_protect(void *start, size_t size, enum os_access access);
int __wrap_os_pages_advise(void *start, size_t size, enum os_fork fork);
int __wrap_os_pages_lock(void *start, size_t size);
int __wrap_os_pages_relock(void *start, size_t size, enum os_access access);
void __wrap_os_pages_purge(struct os_purger *purger, struct os_range *ranges, size_t count);
bool __wrap_os_guard_install(void *start, size_t size);
bool __wrap_os_pages_populate(void *start, size_t size);
uint64_t __wrap_os_lock_limit(void);
int __wrap_os_process_lock(void);

void os_faults_reset(void)
{
    bool pretend = os_faults.pretend_locks;
    memset(&os_faults, 0, sizeof(os_faults));
    os_faults.pretend_locks = pretend;
}

void os_faults_fail(unsigned long at, bool on)
{
    os_faults.calls = 0;
    os_faults.failed = 0;
    os_faults.fail_at = at;
    os_faults.on = on;
}

/* What goes to the kernel must be zero by then. */
static void look(const char *start, size_t size)
{
    bool wiped = start[0] == 0 && memcmp(start, start + 1, size - 1) == 0;
    os_faults.unwiped += !wiped;
}

/* 0, or the error that the call has. */
static int fault(enum os_call call)
{
    os_faults.count[call]++;
    if (os_faults.only != 0 && (os_faults.only >> call & 1) == 0) {
        return 0;
    }
    os_faults.calls++;
    bool fails = os_faults.fail_at != 0 && (os_faults.on ? os_faults.calls >= os_faults.fail_at
                                                         : os_faults.calls == os_faults.fail_at);
    if (!fails) {
        return 0;
    }
    os_faults.failed++;
    return os_faults.error != 0 ? os_faults.error : -ENOMEM;
}

int __wrap_os_pages_reserve(size_t size, size_t alignment, void **start)
{
    if (fault(CALL_RESERVE) != 0) {
        return -ENOMEM;
    }
    int error = __real_os_pages_reserve(size, alignment, start);
    os_faults.reserved += error == 0 ? size : 0;
    return error;
}

void __wrap_os_pages_unreserve(void *start, size_t size)
{
    os_faults.reserved -= size;
    __real_os_pages_unreserve(start, size);
}

int __wrap_os_pages_open_bookkeeping(void *start, size_t size)
{
    if (os_faults.during_open_bookkeeping != NULL) {
        os_faults.during_open_bookkeeping(start);
    }
    return fault(CALL_OPEN_BOOKKEEPING) != 0 ? -ENOMEM
                                             : __real_os_pages_open_bookkeeping(start, size);
}

int __wrap_os_pages_open(void *start, size_t size, bool keep_unlocked, int *lock_error)
{
    int error = fault(CALL_OPEN);
    if (size > os_faults.largest_open) {
        os_faults.largest_open = size;
    }
    *lock_error = 0;
    return error != 0 ? error : __real_os_pages_open(start, size, keep_unlocked, lock_error);
}

int __wrap_os_pages_close(void *start, size_t size)
{
    if (os_faults.look_at_closed) {
        look(start, size);
    }
    return fault(CALL_CLOSE) != 0 ? -ENOMEM : __real_os_pages_close(start, size);
}

int __wrap_os_pages_protect(void *start, size_t size, enum os_access access)
{
    return fault(CALL_PROTECT) != 0 ? -ENOMEM : __real_os_pages_protect(start, size, access);
}

int __wrap_os_pages_advise(void *start, size_t size, enum os_fork fork)
{
    int error = fault(CALL_ADVISE);
    return error != 0 ? error : __real_os_pages_advise(start, size, fork);
}

int __wrap_os_pages_lock(void *start, size_t size)
{
    int error = fault(CALL_LOCK);
    if (error != 0 || os_faults.pretend_locks) {
        return error;
    }
    return __real_os_pages_lock(start, size);
}

int __wrap_os_pages_relock(void *start, size_t size, enum os_access access)
{
    int error = fault(CALL_RELOCK);
    if (error != 0 || os_faults.pretend_locks) {
        return error;
    }
    return __real_os_pages_relock(start, size, access);
}

void __wrap_os_pages_purge(struct os_purger *purger, struct os_range *ranges, size_t count)
{
    unsigned seen = 0;
    os_faults.count[CALL_PURGE]++;
    for (size_t i = 0; i < count; i++) {
        look(ranges[i].start, ranges[i].size);
    }
    if (os_faults.during_purge != NULL) {
        os_faults.during_purge(os_faults.during_purge_context);
    }
    __real_os_pages_purge(purger, ranges, count);
    for (size_t i = 0; i < count; i++) {
        if (os_faults.pretend_locks && ranges[i].result == OS_UNLOCKED) {
            ranges[i].result = OS_PURGED;
        }
        seen += ranges[i].locked;
        bool is_chosen = os_faults.change_every == 0 || seen % os_faults.change_every == 0;
        if (os_faults.change_results && ranges[i].locked && is_chosen) {
            ranges[i].result = os_faults.result;
            if (os_faults.result == OS_UNLOCKED && !os_faults.pretend_locks) {
                (void)os_pages_unlock(ranges[i].start, ranges[i].size);
            }
        }
    }
}

bool __wrap_os_guard_install(void *start, size_t size)
{
    os_faults.count[CALL_GUARD]++;
    return !os_faults.no_guards && __real_os_guard_install(start, size);
}

bool __wrap_os_pages_populate(void *start, size_t size)
{
    os_faults.count[CALL_POPULATE]++;
    return !os_faults.no_populate && __real_os_pages_populate(start, size);
}

uint64_t __wrap_os_lock_limit(void)
{
    if (os_faults.lock_limit != 0) {
        return os_faults.lock_limit;
    }
    return os_faults.pretend_locks ? UINT64_MAX : __real_os_lock_limit();
}

int __wrap_os_process_lock(void)
{
    int error = fault(CALL_LOCK_PROCESS);
    if (error != 0 || os_faults.pretend_process_lock) {
        return error;
    }
    return __real_os_process_lock();
}
