/* SPDX-License-Identifier: ISC */
/* The system calls with which a burst is given back, as strace sees them. */
#include <fcntl.h>
#include <secure_malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/child.h"
#include "api/footprint.h"
#include "support/limits.h"
#include "support/skip.h"

/* A call that nothing else makes: what comes after it is the giving back. */
static void mark(void)
{
    syscall(SYS_getpgid, 424242);
}

void footprint_started_again(int count, char **arguments)
{
    if (count != 2 || strcmp(arguments[1], "burst") != 0) {
        return;
    }
    struct secure_stats stats = SECURE_STATS_INIT;
    footprint_burst(mark);
    mark();
    exit(secure_stats(&stats) == 0 ? 10 + (int)stats.purge_way : 1);
}

struct calls {
    unsigned process_madvise, madvise, munlock, mlock, other_memory;
};

static void count_call(const char *line, struct calls *calls)
{
    calls->process_madvise += strstr(line, "process_madvise(") != NULL;
    calls->madvise += strstr(line, " madvise(") != NULL;
    calls->munlock += strstr(line, "munlock(") != NULL;
    calls->mlock += strstr(line, "mlock(") != NULL || strstr(line, "mlock2(") != NULL;
    calls->other_memory += strstr(line, "mprotect(") != NULL || strstr(line, "mmap(") != NULL;
}

/* Those between the two marks. */
static struct calls read_trace(const char *path)
{
    struct calls calls = {0};
    char line[512];
    int marks = 0;
    FILE *trace = fopen(path, "r");
    assert_non_null(trace);
    while (fgets(line, sizeof(line), trace) != NULL) {
        if (strstr(line, "getpgid(424242") != NULL) {
            marks++;
        } else if (marks == 1) {
            count_call(line, &calls);
        }
    }
    fclose(trace);
    assert_int_equal(marks, 2);
    return calls;
}

/* Returns the program's exit status; 127: strace does not work here. */
static int trace_burst(const char *path)
{
    char program[256];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
    assert_true(length > 0);
    program[length] = '\0';
    const pid_t strace = fork();
    if (strace == 0) {
        const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(nowhere, STDERR_FILENO);
        execl("/usr/bin/strace", "strace", "-f", "-o", path, program, "burst", (char *)NULL);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(strace, &status, 0), strace);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 127;
}

void footprint_purges_are_batched(void **state)
{
    char path[] = "/tmp/secure_malloc-trace.XXXXXX";
    (void)state;
    if (SANITIZED || access("/usr/bin/strace", X_OK) != 0) {
        skip_test("needs strace (package strace), and no sanitizer");
    }
    if (!limits_need_memlock(10 << 20)) {
        skip_test("needs to lock 10240 KiB");
    }
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    const int status = trace_burst(path);
    struct calls calls = {0};
    if (status >= 10) {
        calls = read_trace(path);
    }
    unlink(path);
    if (status < 10 || status > 12) {
        skip_test("strace (package strace) may not trace a process here");
    }
    if (status - 10 != SECURE_PURGE_BATCHED) {
        skip_test("this kernel takes no batches for oneself (Linux 6.13)");
    }
    /* 100,000 frees of 64 bytes empty 2,000 pages: no call for each, and none that locks anew. */
    assert_true(calls.process_madvise > 0);
    assert_true(calls.process_madvise < 300);
    assert_int_equal(calls.madvise, 0);
    assert_int_equal(calls.munlock, 0);
    assert_int_equal(calls.mlock, 0);
    assert_int_equal(calls.other_memory, 0);
}
