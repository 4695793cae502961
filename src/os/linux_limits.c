/* SPDX-License-Identifier: ISC */
/* The machine's and the process's numbers. */
#include <linux/capability.h>
#include <sched.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "os/linux_calls.h"
#include "os/os.h"

size_t os_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE); /* from the auxiliary vector: no system call */
}

static bool may_lock_anything(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}};
    return call_capget(&header, data) == 0 &&
           (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

uint64_t os_lock_limit(void)
{
    struct rlimit limit = {0, 0};
    if (call_getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        may_lock_anything()) {
        return UINT64_MAX;
    }
    return limit.rlim_cur;
}

uint64_t os_memory_size(void)
{
    struct sysinfo info;
    return sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : UINT64_MAX;
}

int os_process_id(void)
{
    return (int)getpid();
}

void os_yield(void)
{
    (void)sched_yield();
}
