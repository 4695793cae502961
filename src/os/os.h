/* SPDX-License-Identifier: ISC */
/*
 * The operating system, as the library sees it. These are the only memory system calls there are.
 * Each function is short; what it promises is written here.
 *
 * Functions that can fail return 0 or -errno. For each, the errnos that are ordinary are listed: a
 * limit, a kernel without the call. -EPERM may come from any of them, where a sandbox forbids the
 * call (its EPERM, EACCES or ENOSYS). Any other is a bug of ours and ends the process
 * (report_unexpected). Addresses and sizes are multiples of the page size unless said
 * otherwise. Nothing here allocates, and errno is left as it was.
 */
#ifndef SECURE_MALLOC_OS_OS_H
#define SECURE_MALLOC_OS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the machine (limits) ---- */

size_t os_page_size(void); /* read once; 4, 16 and 64 KiB all work */

/* What RLIMIT_MEMLOCK allows at this moment, in bytes; UINT64_MAX if it is unlimited or the process
 * has CAP_IPC_LOCK. A hint for sizes: the kernel's answer to a lock is what counts. */
uint64_t os_lock_limit(void);

/* The machine's RAM in bytes: more than that cannot be locked. */
uint64_t os_memory_size(void);

int os_process_id(void);

void os_yield(void);

/* ---- address space (pages) ---- */

/* Reserves size bytes, inaccessible, private, unlocked (under MCL_FUTURE a mapping is born locked:
 * it is munlocked before this returns), aligned to alignment (a power of two, at least a page).
 * -ENOMEM: no address space (EAGAIN, the answer under MCL_FUTURE, is returned as -ENOMEM), or the
 * limit on mappings. */
int os_pages_reserve(size_t size, size_t alignment, void **start);

/* Gives a reservation back; only for one that nobody has seen yet. */
void os_pages_unreserve(void *start, size_t size);

/* Readable and writable, not locked: for bookkeeping. -ENOMEM. */
int os_pages_open_bookkeeping(void *start, size_t size);

/* Opens reserved pages and locks them, in this order: munlock (someone's mlockall may have locked
 * them, and without MCL_ONFAULT the next step would populate them), mprotect(RW), lock. On failure
 * the pages are as os_pages_close leaves them. lock_error gets the lock's own failure (0, -ENOMEM,
 * -EPERM); with keep_unlocked the pages then stay open all the same and 0 is returned.
 * -ENOMEM, -EPERM. */
int os_pages_open(void *start, size_t size, bool keep_unlocked, int *lock_error);

/* Makes open, locked pages what reserved ones are: mprotect(NONE), munlock, discard. All of the
 * range is open, and was wiped. -ENOMEM: the limit on mappings; then the range is as it was,
 * contents included. */
int os_pages_close(void *start, size_t size);

enum os_access { OS_NO_ACCESS, OS_READ_ONLY, OS_READ_WRITE };
int os_pages_protect(void *start, size_t size, enum os_access access); /* -ENOMEM */

/* Drops the contents: the range reads zero afterwards. Where DONTNEED_LOCKED is there, its lock
 * stays, and no mapping is split; else it is munlocked. -ENOMEM: the limit on mappings; then
 * nothing has changed. */
int os_pages_discard(void *start, size_t size);

/* Makes the range resident, as writing to every page would, by one call (MADV_POPULATE_WRITE, Linux
 * 5.14). What is there already stays. false: not here, or not all of it, and the rest is faulted in
 * when it is touched. */
bool os_pages_populate(void *start, size_t size);

/* Replaces whatever a forked child has there by inaccessible pages that hold nothing. If
 * may_be_foreign, a mapping that is found there is somebody else's by now and is left alone. Best
 * effort: false if the range is not ours afterwards. */
bool os_pages_replace(void *start, size_t size, bool may_be_foreign);

/* ---- advice that lasts (pages) ---- */

enum os_fork { OS_FORK_KEEP, OS_FORK_WIPE, OS_FORK_DROP };

/* DONTDUMP, NOHUGEPAGE, UNMERGEABLE and what fork asks for. NOHUGEPAGE and UNMERGEABLE may be
 * missing (EINVAL, ENOSYS, EPERM: a kernel without them has nothing to turn off). 0, or the error
 * of DONTDUMP, WIPEONFORK or DONTFORK: -EINVAL, -ENOSYS, -EPERM, -ENOMEM. All are tried in any
 * case. */
int os_pages_advise(void *start, size_t size, enum os_fork fork);

/* A guard page (MADV_GUARD_INSTALL, Linux 6.13): inaccessible without a mapping of its own. The
 * range must not be locked. false: not here (EINVAL, ENOSYS, EPERM, ENOMEM). */
bool os_guard_install(void *start, size_t size);

/* ---- locking (lock) ---- */

/* mlock2(MLOCK_ONFAULT), or mlock where the kernel or a sandbox has no mlock2. On failure the range
 * is munlocked again: a failed lock can leave half of it locked and charged. -ENOMEM (EAGAIN is
 * returned as -ENOMEM), -EPERM. */
int os_pages_lock(void *start, size_t size);

/* For ranges without resident pages, or with such as may become cold. -ENOMEM: the limit on
 * mappings. */
int os_pages_unlock(void *start, size_t size);

/* Locks again in a forked child what is open, whatever its protection: kernels before 5.18 refuse
 * to lock inaccessible pages, so on ENOMEM it opens them, locks, and restores access. */
int os_pages_relock(void *start, size_t size, enum os_access access);

/* mlockall(MCL_CURRENT|MCL_FUTURE|MCL_ONFAULT). -ENOMEM; -EPERM, also where there is no such call.
 * Nothing has changed on failure. */
int os_process_lock(void);

/* ---- giving pages back (purge) ---- */

enum os_purge_way { OS_PURGE_LOCKED, OS_PURGE_BATCHED, OS_PURGE_FALLBACK };
enum os_purge_result {
    OS_PURGED,   /* nothing resident, still locked if it was */
    OS_RESIDENT, /* the kernel would not take it; as before */
    OS_UNLOCKED  /* nothing resident, and the lock could not be had again */
};

struct os_range {
    void *start;
    size_t size;
    bool locked; /* data, locked; or bookkeeping, which is not */
    enum os_purge_result result;
};

enum { OS_PURGE_RANGES_MAX = 1024 }; /* the kernel's limit on one process_madvise */

struct os_purger {
    _Atomic(enum os_purge_way) way; /* steps down LOCKED/BATCHED -> FALLBACK, never up */
    uint64_t system_calls;          /* made by os_pages_purge */
};

/* Chooses the way by trial, on a page of its own: write, DONTNEED_LOCKED, read must be zero (an
 * emulator may answer 0 and do nothing). If there is no page to try on, FALLBACK. */
void os_purge_probe(struct os_purger *purger);

/*
 * Gives the pages of the ranges back (at most OS_PURGE_RANGES_MAX, wiped already) and sets each
 * range's result. BATCHED: process_madvise(PIDFD_SELF, MADV_DONTNEED_LOCKED) of 128 at a time, one
 * TLB flush each; a short count means: go on with the rest. LOCKED: madvise range by range.
 * FALLBACK: munlock, MADV_DONTNEED, mlock2(MLOCK_ONFAULT), in this order, so that nothing unwiped
 * could be swapped in between; a plain mlock would fault all of it in again, so without mlock2 the
 * range stays unlocked. A way that the kernel no longer takes (EINVAL, ENOSYS, EPERM: a seccomp
 * filter came later) is stepped down from, and the rest goes the next way. One caller at a time for
 * each purger.
 */
void os_pages_purge(struct os_purger *purger, struct os_range *ranges, size_t count);

/* ---- what the kernel says (maps) ---- */

struct os_mapping {
    uintptr_t start;
    uintptr_t end;
    bool readable, writable, shared, anonymous;
    /* from smaps alone: */
    bool locked, lock_on_fault, dumpable, mergeable;
    uint64_t resident, swapped; /* bytes */
};

typedef int os_mapping_visit(const struct os_mapping *mapping, void *context); /* not 0: stop */

/* Visits every mapping of the process, in address order, from /proc/self/smaps. 0, what the visit
 * returned, or -errno of opening or reading it (any: there may be no /proc). */
int os_mappings_visit(os_mapping_visit *visit, void *context);

/* Visits the mappings that overlap the range, without the smaps fields: by PROCMAP_QUERY (Linux
 * 6.11), else from /proc/self/maps. As above. */
int os_mappings_visit_range(const void *start, size_t size, os_mapping_visit *visit, void *context);

/* ---- the caller's own memory (purge_caller) ---- */

/* Gives pages back that the caller checked to be private, anonymous, readable and writable, and
 * keeps each mapping's lock as it is (none, on fault, populated). In the fall-back, resident pages
 * are wiped before they are unlocked. 0, or -ENOMEM: the limit on mappings, or the lock could not
 * be had again. Errors of reading /proc/self/smaps, which the fall-back needs, come back too. */
int os_caller_pages_release(struct os_purger *purger, void *start, size_t size);

#endif
