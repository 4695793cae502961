/* SPDX-License-Identifier: ISC */
/* What keyd does to its own process: see process.h. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <secure_malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "say.h"

int process_forbid_dumps(void)
{
    const struct rlimit none = {0, 0};

    /* Secure memory stays out of core files anyway; this keeps registers and stacks out too. */
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return -errno;
    }
    return 0;
}

int process_find_user(const char *name, struct key_owner *user)
{
    const struct passwd *entry = getpwnam(name);
    if (entry == NULL) {
        return -ENOENT;
    }
    *user = (struct key_owner){entry->pw_uid, entry->pw_gid};
    return 0;
}

int process_become(const struct key_owner *user)
{
    /* In this order: each call takes away the right to make the one before it. */
    if (setgroups(1, &user->group) != 0 || setgid(user->group) != 0 || setuid(user->user) != 0) {
        return -errno;
    }
    if (user->user != 0 && setuid(0) == 0) {
        return -EPERM; /* we can come back, so we never left */
    }
    return process_forbid_dumps();
}

/* Waits for the child's word or its end, and ends the parent. */
static _Noreturn void await_child(int ready, pid_t child)
{
    char byte = 0;
    int status = 0;

    ssize_t got = 0;
    do {
        got = read(ready, &byte, sizeof byte);
    } while (got < 0 && errno == EINTR);
    if (got == sizeof byte) {
        _exit(EXIT_SUCCESS);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    _exit(WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : EXIT_FAILURE);
}

int process_detach(void)
{
    int ready[2];

    if (pipe2(ready, O_CLOEXEC) != 0) {
        return -errno;
    }
    const pid_t child = fork();
    if (child > 0) {
        /* The secrets go on in the child, in pages of its own. The parent needs them no more. */
        secure_zeroize();
        (void)close(ready[1]);
        await_child(ready[0], child);
    }
    const int error = child < 0 || setsid() < 0 ? -errno : 0;
    (void)close(ready[0]);
    if (error != 0) {
        (void)close(ready[1]);
        return error;
    }
    return ready[1];
}

int process_ready(int parent)
{
    const char byte = 'R';
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || chdir("/") != 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0) {
        return -errno;
    }
    (void)close(null);
    if (write(parent, &byte, sizeof byte) != sizeof byte) {
        return -errno;
    }
    (void)close(parent);
    say_to_syslog();
    return 0;
}

int process_write_pid(const char *path)
{
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0) {
        return -errno;
    }
    /* Others may read it, whatever the umask: a pid is no secret. */
    const bool is_written = dprintf(file, "%ld\n", (long)getpid()) > 0 && fchmod(file, 0644) == 0;
    const int error = is_written ? 0 : -errno;
    (void)close(file);
    return error;
}
