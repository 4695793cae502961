/* SPDX-License-Identifier: ISC */
/*
 * Makes the kernel answer as an older one, or a sandbox, would. A filter holds for all threads and
 * for what they start, works without privileges, and cannot be taken off again: in a child, or in a
 * program of its own. Filters add up.
 */
#ifndef SECURE_MALLOC_TESTS_SUPPORT_SECCOMP_H
#define SECURE_MALLOC_TESTS_SUPPORT_SECCOMP_H

/* madvise with this advice fails with this errno; other advice goes through. 0, or -1 and errno. */
int filter_madvise(int advice, int error);

/* process_madvise takes the advice as well; also only with this one. */
int filter_process_madvise(int advice, int error);

/* The system call with this number (SYS_mlock2) fails with this errno. 0, or -1 and errno. */
int filter_syscall(long number, int error);

#endif
