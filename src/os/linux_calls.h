/* SPDX-License-Identifier: ISC */
/*
 * The system calls as the files of this folder make them: the result, or -errno, and errno as it
 * was. What Debian 12's headers do not know yet has its number here.
 *
 * Calls that lock go around the C library: its mlock2 turns ENOSYS into EINVAL, and under the
 * sanitizers its mlock, munlock and mlockall do nothing. So do open, read and close, which are
 * cancellation points there: a cancelled thread would take our mutexes with it.
 */
#ifndef SECURE_MALLOC_OS_LINUX_CALLS_H
#define SECURE_MALLOC_OS_LINUX_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

enum {
    ADVICE_POPULATE_WRITE = 23,  /* Linux 5.14 */
    ADVICE_DONTNEED_LOCKED = 24, /* Linux 5.18 */
    ADVICE_COLD = 20,            /* Linux 5.4 */
    ADVICE_GUARD_INSTALL = 102,  /* Linux 6.13 */
    LOCK_ONFAULT = 1,            /* MLOCK_ONFAULT, Linux 4.4 */
};

/* The answer of a call that went wrong, in the words of os.h: -ENOMEM for a limit, -EPERM for a
 * sandbox that forbids the call. Anything else is a bug of ours, and fatal. */
int calls_ordinary(const char *call, long error);

/* Is this "not on this kernel, not in this sandbox"? */
bool calls_is_refused(long error);

long call_mmap(void *at, size_t size, int flags, void **start); /* PROT_NONE, private, anonymous */
long call_munmap(void *start, size_t size);
long call_mprotect(void *start, size_t size, int protection);
long call_madvise(void *start, size_t size, int advice);
long call_process_madvise(int pidfd, const struct iovec *parts, size_t count, int advice);
long call_mincore(void *start, size_t size, unsigned char *resident);
long call_mlock(void *start, size_t size);
long call_mlock2(void *start, size_t size); /* MLOCK_ONFAULT */
long call_munlock(void *start, size_t size);
long call_mlockall(int flags);
long call_open(const char *path); /* to read */
long call_read(int file, void *to, size_t size);
void call_close(int file);
long call_getrlimit(int resource, struct rlimit *limit);
long call_capget(void *header, void *data);

/* The question behind PROCMAP_QUERY (Linux 6.11), an ioctl on /proc/self/maps. */
struct procmap_query {
    uint64_t size;
    uint64_t query_flags;
    uint64_t query_addr;
    uint64_t vma_start;
    uint64_t vma_end;
    uint64_t vma_flags;
    uint64_t vma_page_size;
    uint64_t vma_offset;
    uint64_t inode;
    uint32_t dev_major;
    uint32_t dev_minor;
    uint32_t vma_name_size;
    uint32_t build_id_size;
    uint64_t vma_name_addr;
    uint64_t build_id_addr;
};

enum {
    PROCMAP_READABLE = 0x01,
    PROCMAP_WRITABLE = 0x02,
    PROCMAP_SHARED = 0x08,
    PROCMAP_COVERING_OR_NEXT = 0x10,
};

long call_procmap_query(int file, struct procmap_query *query);

#endif
