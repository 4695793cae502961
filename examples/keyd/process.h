/* SPDX-License-Identifier: ISC */
/*
 * What keyd does to its own process: no core files, another user, the background, a pid file.
 * Knows nothing of keys, but for the parent's duty to wipe its copy after a fork.
 */
#ifndef KEYD_PROCESS_H
#define KEYD_PROCESS_H

#include "key.h"

/* No core file, and no ptrace by processes of the same user. 0 or -errno. */
int process_forbid_dumps(void);

/* Looks up a user by name. 0, or -ENOENT. */
int process_find_user(const char *name, struct key_owner *user);

/* Becomes that user for good. 0 or -errno. Forbids dumps again: a change of user allows them. */
int process_become(const struct key_owner *user);

/*
 * Goes on in the background, in a session of its own. Returns in the child, which must call
 * process_ready: with a descriptor for it, or -errno in the parent. The parent wipes its copy of
 * the secrets, waits and ends: with 0 when the child is ready, else with the child's status.
 */
int process_detach(void);

/* Tells the parent that we are ready, and lets go of its terminal. 0 or -errno. */
int process_ready(int parent);

/* Writes our pid to a file. 0 or -errno. */
int process_write_pid(const char *path);

#endif
