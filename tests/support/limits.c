/* SPDX-License-Identifier: ISC */
#include "support/limits.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int limits_set(int resource, rlim_t bytes)
{
    const struct rlimit limit = {bytes, bytes};
    return setrlimit((__rlimit_resource_t)resource, &limit);
}

/* The kernel's own structs: libcap would be one more package for two calls. */
static int capabilities_get(struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    return (int)syscall(SYS_capget, &header, data);
}

bool limits_has_ipc_lock(void)
{
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    return capabilities_get(data) == 0 && (data[0].effective & (1U << CAP_IPC_LOCK)) != 0;
}

int limits_drop_ipc_lock(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (capabilities_get(data) != 0) {
        return -1;
    }
    data[0].effective &= ~(1U << CAP_IPC_LOCK);
    data[0].permitted &= ~(1U << CAP_IPC_LOCK);
    return (int)syscall(SYS_capset, &header, data);
}

int limits_set_memlock(rlim_t bytes)
{
    if (limits_has_ipc_lock() && limits_drop_ipc_lock() != 0) {
        return -1;
    }
    return limits_set(RLIMIT_MEMLOCK, bytes);
}

bool limits_need_memlock(uint64_t bytes)
{
    struct rlimit limit;
    if (limits_has_ipc_lock()) {
        return true;
    }
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
        return false;
    }
    if (limit.rlim_cur >= bytes) {
        return true;
    }
    limit.rlim_cur = bytes;
    limit.rlim_max = limit.rlim_max < bytes ? bytes : limit.rlim_max;
    return setrlimit(RLIMIT_MEMLOCK, &limit) == 0;
}

int limits_become_nobody(void)
{
    if (setgroups(0, NULL) != 0 || setgid(LIMITS_NOBODY) != 0 || setuid(LIMITS_NOBODY) != 0) {
        return -1;
    }
    /* A change of user clears this, and with it the right to read our own /proc/self/mem. */
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}
