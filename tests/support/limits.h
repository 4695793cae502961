/* SPDX-License-Identifier: ISC */
/*
 * The limits and rights under which users run. Each of these returns 0, or -1 and errno, and is for
 * a child or a program of its own: what is given up does not come back.
 */
#ifndef SECURE_MALLOC_TESTS_SUPPORT_LIMITS_H
#define SECURE_MALLOC_TESTS_SUPPORT_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

enum { LIMITS_NOBODY = 65534 };

/* Both the soft and the hard limit; RLIM_INFINITY may be given where the process may raise it. */
int limits_set(int resource, rlim_t bytes);

/* RLIMIT_MEMLOCK means nothing to a process with CAP_IPC_LOCK: give that up first. */
int limits_set_memlock(rlim_t bytes);

/* Raises the soft limit, and the hard one where it may, so that `bytes` can be locked. false: this
 * process may not; the test should skip with the number that it needs. */
bool limits_need_memlock(uint64_t bytes);

/* Becomes nobody, with no groups and no capabilities. Only root can. */
int limits_become_nobody(void);

/* Stays root, without the right to lock beyond the limit. */
int limits_drop_ipc_lock(void);

/* May this process lock whatever it likes? */
bool limits_has_ipc_lock(void);

#endif
