/* SPDX-License-Identifier: ISC */
#include "os/linux_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/report.h"

/* errno is that of the call that has just returned; `saved` was read before it. */
static long result_of(int saved, long returned)
{
    if (returned == -1) {
        returned = -errno;
        errno = saved;
    }
    return returned;
}

int calls_ordinary(const char *call, long error)
{
    switch (error) {
    case 0:
        return 0;
    case -ENOMEM:
    case -EAGAIN: /* madvise says so when it cannot split a mapping, mmap when it may not lock */
        return -ENOMEM;
    case -EPERM:
    case -EACCES:
    case -ENOSYS:
        return -EPERM;
    default:
        report_unexpected(call, (int)-error);
    }
}

bool calls_is_refused(long error)
{
    return error == -EINVAL || error == -ENOSYS || error == -EPERM || error == -EACCES;
}

long call_mmap(void *at, size_t size, int flags, void **start)
{
    int saved = errno;
    flags |= MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *mapped = mmap(at, size, PROT_NONE, flags, -1, 0);
    if (mapped == MAP_FAILED) {
        return result_of(saved, -1);
    }
    *start = mapped;
    return 0;
}

long call_munmap(void *start, size_t size)
{
    int saved = errno;
    return result_of(saved, munmap(start, size));
}

long call_mprotect(void *start, size_t size, int protection)
{
    int saved = errno;
    return result_of(saved, mprotect(start, size, protection));
}

long call_madvise(void *start, size_t size, int advice)
{
    int saved = errno;
    return result_of(saved, madvise(start, size, advice));
}

long call_process_madvise(int pidfd, const struct iovec *parts, size_t count, int advice)
{
    int saved = errno;
    return result_of(saved, syscall(SYS_process_madvise, pidfd, parts, count, advice, 0));
}

long call_mincore(void *start, size_t size, unsigned char *resident)
{
    int saved = errno;
    return result_of(saved, mincore(start, size, resident));
}

long call_mlock(void *start, size_t size)
{
    int saved = errno;
    return result_of(saved, syscall(SYS_mlock, start, size));
}

long call_mlock2(void *start, size_t size)
{
    int saved = errno;
    return result_of(saved, syscall(SYS_mlock2, start, size, LOCK_ONFAULT));
}

long call_munlock(void *start, size_t size)
{
    int saved = errno;
    return result_of(saved, syscall(SYS_munlock, start, size));
}

long call_mlockall(int flags)
{
    int saved = errno;
    return result_of(saved, syscall(SYS_mlockall, flags));
}

long call_open(const char *path)
{
    int saved = errno;
    return result_of(saved, syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
}

long call_read(int file, void *to, size_t size)
{
    int saved = errno;
    return result_of(saved, syscall(SYS_read, file, to, size));
}

void call_close(int file)
{
    int saved = errno;
    (void)result_of(saved, syscall(SYS_close, file));
}

long call_getrlimit(int resource, struct rlimit *limit)
{
    int saved = errno;
    return result_of(saved, getrlimit((__rlimit_resource_t)resource, limit));
}

long call_capget(void *header, void *data)
{
    int saved = errno;
    return result_of(saved, syscall(SYS_capget, header, data));
}

long call_procmap_query(int file, struct procmap_query *query)
{
    int saved = errno;
    query->size = sizeof(*query);
    return result_of(saved, ioctl(file, _IOWR('f', 17, struct procmap_query), query));
}
