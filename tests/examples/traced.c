/* SPDX-License-Identifier: ISC */
/* Starts a program under ptrace and stops it at its end: see traced.h. */
#include "traced.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_NO_TRACE = 126, EXIT_NO_PROGRAM = 127 };

static int wait_for_stop(pid_t pid, int *status)
{
    while (waitpid(pid, status, __WALL) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return WIFSTOPPED(*status) ? 0 : -ECHILD;
}

int traced_start(struct traced *traced, char *const words[])
{
    int status = 0;

    traced->pid = fork();
    if (traced->pid < 0) {
        return -errno;
    }
    if (traced->pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
            _exit(EXIT_NO_TRACE);
        }
        (void)execv(words[0], words);
        _exit(EXIT_NO_PROGRAM);
    }
    int error = wait_for_stop(traced->pid, &status); /* the SIGTRAP of execve */
    if (error != 0) {
        return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_TRACE ? -EPERM : error;
    }
    const uintptr_t options = PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL;
    error = scan_open(&traced->target, traced->pid);
    if (error == 0 && ptrace(PTRACE_SETOPTIONS, traced->pid, NULL, (void *)options) != 0) {
        error = -errno;
        scan_close(&traced->target);
    }
    if (error == 0 && ptrace(PTRACE_CONT, traced->pid, NULL, NULL) != 0) {
        error = -errno;
        scan_close(&traced->target);
    }
    if (error != 0) {
        (void)kill(traced->pid, SIGKILL);
        (void)waitpid(traced->pid, NULL, __WALL);
    }
    return error;
}

int traced_wait_end(struct traced *traced)
{
    int status = 0;

    for (;;) {
        const int error = wait_for_stop(traced->pid, &status);
        if (error != 0) {
            return error;
        }
        if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8)) {
            return 0;
        }
        /* A signal on its way: the program gets it as if we were not here. */
        const uintptr_t signal = (uintptr_t)WSTOPSIG(status);
        (void)ptrace(PTRACE_CONT, traced->pid, NULL, (void *)signal);
    }
}

int traced_finish(struct traced *traced)
{
    int status = 0;

    scan_close(&traced->target);
    if (ptrace(PTRACE_CONT, traced->pid, NULL, NULL) != 0) {
        return -errno;
    }
    while (waitpid(traced->pid, &status, __WALL) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return status;
}

void traced_kill(struct traced *traced)
{
    scan_close(&traced->target);
    (void)kill(traced->pid, SIGKILL);
    do {
        /* Stopped at its end it is past being killed, and only goes on when it is let go. */
        (void)ptrace(PTRACE_CONT, traced->pid, NULL, NULL);
    } while (waitpid(traced->pid, NULL, __WALL) >= 0);
}

int run_program(char *const words[])
{
    int status = 0;

    const pid_t pid = fork();
    if (pid == 0) {
        const int null = open("/dev/null", O_RDWR);
        if (null >= 0) {
            (void)dup2(null, STDIN_FILENO);
            (void)dup2(null, STDOUT_FILENO);
            (void)dup2(null, STDERR_FILENO);
        }
        (void)execv(words[0], words);
        _exit(EXIT_NO_PROGRAM);
    }
    if (pid < 0) {
        return -1;
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -1;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
