/* SPDX-License-Identifier: ISC */
#include "support/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Numbers of system calls differ between the ABIs of one machine: one filter is for one of them. */
#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define THIS_ARCH AUDIT_ARCH_I386
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#elif defined(__arm__)
#define THIS_ARCH AUDIT_ARCH_ARM
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
#define THIS_ARCH AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define THIS_ARCH AUDIT_ARCH_S390X
#elif defined(__riscv) && __riscv_xlen == 64
#define THIS_ARCH AUDIT_ARCH_RISCV64
#else
#error "name this machine's AUDIT_ARCH_* here"
#endif

/* An argument is 64 bits in the machine's byte order, a filter loads 32. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
enum { LOW_HALF = 0 };
#else
enum { LOW_HALF = 4 };
#endif

enum { NO_ARGUMENT = -1 };

static uint32_t argument_offset(int index)
{
    return (uint32_t)(offsetof(struct seccomp_data, args) + (size_t)index * sizeof(uint64_t)) +
           LOW_HALF;
}

/* Refuses the call if argument `index` has this value; every such call for NO_ARGUMENT. */
static int install(long number, int index, int value, int error)
{
    const uint32_t refuse = SECCOMP_RET_ERRNO | ((uint32_t)error & SECCOMP_RET_DATA);
    struct sock_filter any[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, refuse),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_filter one_value[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCH, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_offset(index == NO_ARGUMENT ? 0 : index)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, refuse),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {
        .len = index == NO_ARGUMENT ? sizeof(any) / sizeof(any[0])
                                    : sizeof(one_value) / sizeof(one_value[0]),
        .filter = index == NO_ARGUMENT ? any : one_value,
    };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -1;
    }
    const long result =
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    if (result > 0) { /* the thread that would not take it */
        errno = ESRCH;
        return -1;
    }
    return (int)result;
}

int filter_madvise(int advice, int error)
{
    return install(SYS_madvise, 2, advice, error);
}

int filter_process_madvise(int advice, int error)
{
    return install(SYS_process_madvise, 3, advice, error);
}

int filter_syscall(long number, int error)
{
    return install(number, NO_ARGUMENT, 0, error);
}
