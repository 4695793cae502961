/* SPDX-License-Identifier: ISC */
/*
 * The keyd under test: its folder, its keys, its start under ptrace, and requests to it through
 * keyd-sign. There is one. Every failure ends the test.
 */
#ifndef TESTS_EXAMPLES_AGENT_H
#define TESTS_EXAMPLES_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "traced.h"

enum { AGENT_KEYS = 3, AGENT_MADE = 2 };

/* The test writes the first two; keyd makes the last one itself, when it starts. */
extern const char *const agent_keys[AGENT_KEYS];

/* How keyd-sign ends; see its --help. */
enum { AGENT_DONE = 0, AGENT_UNREACHABLE = 3, AGENT_NO_KEY = 4, AGENT_ZEROIZED = 5 };

/* Makes the folder and the first two keys. */
void agent_prepare(char *keyd, char *keyd_sign);

/* Starts keyd. The process is stopped at its end; see traced.h. */
struct traced *agent_start(bool is_daemon);

/* Waits until keyd-sign, listing (NULL) or signing with this key, ends like this. */
void agent_await(const char *when, const char *key, int status);

/* Signs often enough for every thread of keyd to have done it. */
void agent_sign(const char *when, const char *key);

/* Takes a key's file out of keyd's sight, or puts it back. */
void agent_hide_key(size_t key);
void agent_unhide_key(size_t key);

/* Reads what keyd keeps in a key's file. */
void agent_learn_key(size_t key, struct scan_secret *secret);

/* The process that the pid file names. */
pid_t agent_read_pid(void);

/* Let go at its end: its wait status, or -errno. */
int agent_finish(void);

/* Ends what runs and removes what was made; at any time. */
void agent_clean_up(void);

#endif
