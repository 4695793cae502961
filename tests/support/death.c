/* SPDX-License-Identifier: ISC */
#include "support/death.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef SECURE_MALLOC_TESTS_COVERAGE
/* Counters are written at exit, which a child that aborts or calls _exit never reaches. */
extern void __gcov_dump(void);

/* A child that became nobody cannot write them, and would say so among its own words. */
static void dump_counters(void)
{
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(nowhere, STDERR_FILENO);
    __gcov_dump();
}

static void dump_counters_and_die(int signal)
{
    (void)signal; /* SA_RESETHAND: on return abort() raises it again, or the access faults again */
    dump_counters();
}
#endif

/* cmocka handles these in the runner; a child that inherits the handlers would longjmp into the
 * parent's frames instead of dying. */
static void reset_signals(void)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGALRM};
    struct sigaction action = {.sa_handler = SIG_DFL};
#ifdef SECURE_MALLOC_TESTS_COVERAGE
    action.sa_handler = dump_counters_and_die;
    action.sa_flags = (int)SA_RESETHAND;
#endif
    sigset_t none;
    sigemptyset(&none);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        sigaction(signals[i], &action, NULL);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
}

__attribute__((noreturn)) void child_exit(int status)
{
#ifdef SECURE_MALLOC_TESTS_COVERAGE
    dump_counters();
#endif
    _exit(status);
}

__attribute__((noreturn)) static void run_child(int text, child_body *body, void *context)
{
    /* Not PR_SET_DUMPABLE: that would also take /proc/self away from the code under test. */
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    reset_signals();
    dup2(text, STDERR_FILENO);
    close(text);
    body(context);
    child_exit(CHILD_RETURNED);
}

static int milliseconds_until(const struct timespec *end)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const long left = (end->tv_sec - now.tv_sec) * 1000 + (end->tv_nsec - now.tv_nsec) / 1000000;
    return left > 0 ? (int)left : 0;
}

/* Reads until the child and whatever it started have closed the pipe; false if that takes too long.
 * What does not fit is read and dropped, so that the child never blocks on a full pipe. */
static bool read_text(int from, char *text, size_t size)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += CHILD_SECONDS;
    size_t length = 0;
    for (;;) {
        struct pollfd readable = {.fd = from, .events = POLLIN};
        const int ready = poll(&readable, 1, milliseconds_until(&end));
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        char chunk[1024];
        const ssize_t got = ready > 0 ? read(from, chunk, sizeof(chunk)) : -1;
        if (got <= 0) {
            text[length] = '\0';
            return got == 0;
        }
        const size_t room = size - 1 - length;
        const size_t kept = (size_t)got < room ? (size_t)got : room;
        memcpy(text + length, chunk, kept);
        length += kept;
    }
}

void child_run(struct child_end *end, child_body *body, void *context)
{
    int text[2];
    assert_int_equal(pipe(text), 0);
    fflush(NULL); /* or the child's copy of the buffers could be written a second time */
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(text[0]);
        run_child(text[1], body, context);
    }
    close(text[1]);
    const bool ended = read_text(text[0], end->text, sizeof(end->text));
    close(text[0]);
    if (!ended) {
        kill(child, SIGKILL);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        assert_int_equal(errno, EINTR);
    }
    end->signal = ended && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    end->exit_status = ended ? WEXITSTATUS(status) : CHILD_TIMED_OUT;
}

bool child_said(const struct child_end *end, const char *beginning)
{
    const size_t length = strlen(beginning);
    for (const char *line = end->text; line != NULL && *line != '\0';) {
        if (strncmp(line, beginning, length) == 0) {
            return true;
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return false;
}

void death_check(child_body *body, void *context, int signal, const char *beginning,
                 const char *file, int line)
{
    struct child_end end;
    child_run(&end, body, context);
    const bool ended_so =
        end.signal == signal && (signal != 0 || end.exit_status == CHILD_RETURNED);
    const bool said_so = beginning != NULL ? child_said(&end, beginning) : end.text[0] == '\0';
    if (!ended_so || !said_so) {
        print_error("expected: signal %d, stderr \"%s\"\n"
                    "found:    signal %d, exit status %d, stderr \"%s\"\n",
                    signal, beginning != NULL ? beginning : "", end.signal, end.exit_status,
                    end.text);
        _fail(file, line);
    }
}
