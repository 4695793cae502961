/* SPDX-License-Identifier: ISC */
/*
 * Starts a program under ptrace, so that its memory can be read although it forbids that later, and
 * stops it at its very end, when it has freed all that it will ever free and still has its memory.
 */
#ifndef TESTS_EXAMPLES_TRACED_H
#define TESTS_EXAMPLES_TRACED_H

#include <stdbool.h>
#include <sys/types.h>

#include "scan.h"

struct traced {
    pid_t pid;
    struct scan_target target; /* opened before the program's first instruction */
};

/* 0 or -errno; -EPERM or -EACCES: ptrace is not allowed here. */
int traced_start(struct traced *traced, char *const words[]);

/* Waits for the stop at the end, where the memory can be read a last time. 0 or -errno. */
int traced_wait_end(struct traced *traced);

/* Lets it go after that stop. Its wait status, or -errno. */
int traced_finish(struct traced *traced);

/* Kills it, at any time before traced_finish. */
void traced_kill(struct traced *traced);

/* Runs a program to its end, silent. Its exit status, or -1. */
int run_program(char *const words[]);

#endif
