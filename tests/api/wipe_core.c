/* SPDX-License-Identifier: ISC */
/*
 * A core file made while secrets are live holds none of them. By the kernel where it writes one to
 * the current folder, else by gcore. A control secret in ordinary memory must be found, or the test
 * has looked at the wrong file.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <secure_malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/child.h"
#include "api/look.h"
#include "api/secret.h"
#include "api/wipe.h"
#include "support/limits.h"
#include "support/skip.h"

static bool kernel_writes_to_the_current_folder(void)
{
    char pattern[128] = "";
    const int file = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
    const bool is_read = file >= 0 && read(file, pattern, sizeof(pattern) - 1) > 0;
    if (file >= 0) {
        close(file);
    }
    return is_read && strncmp(pattern, "core", 4) == 0 && strchr(pattern, '/') == NULL;
}

enum { NO_CORE = 3 };

/* The one file whose name begins with "core"; false: there is none. */
static bool find_core(const char *folder, char *path, size_t size)
{
    bool found = false;
    DIR *list = opendir(folder);
    CHECK(list != NULL);
    for (struct dirent *entry = readdir(list); entry != NULL; entry = readdir(list)) {
        if (strncmp(entry->d_name, "core", 4) == 0) {
            snprintf(path, size, "%s/%s", folder, entry->d_name);
            found = true;
        }
    }
    closedir(list);
    return found;
}

static void remove_folder(const char *folder)
{
    char path[512];
    while (find_core(folder, path, sizeof(path))) {
        CHECK(unlink(path) == 0);
    }
    CHECK(rmdir(folder) == 0);
}

/* Secrets of each sort, and the control: a secret that differs from them in its last byte. */
static void take_secrets(void)
{
    char *control =
        mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *small = secure_malloc(SECRET_SIZE);
    char *large = secure_malloc(20000);
    char *guarded = secure_malloc_guarded(SECRET_SIZE);
    char *closed = secure_malloc_guarded(SECRET_SIZE);
    CHECK(small != NULL && large != NULL && guarded != NULL && closed != NULL);
    secret_write(small);
    secret_write(large + 10000);
    secret_write(guarded);
    secret_write(closed);
    CHECK(secure_protect(closed, SECURE_NO_ACCESS) == 0);
    secret_write_control(control);
}

static void die_with_a_core(const char *folder)
{
    CHECK(chdir(folder) == 0);
    if (limits_set(RLIMIT_CORE, RLIM_INFINITY) != 0) {
        child_exit(NO_CORE); /* the hard limit forbids it */
    }
    take_secrets();
    raise(SIGQUIT);
    child_exit(1);
}

static void wait_to_be_read(int ready)
{
    take_secrets();
    CHECK(prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0) == 0 || errno == EINVAL);
    CHECK(write(ready, "", 1) == 1);
    pause();
    child_exit(1);
}

static bool start_gcore(const char *folder, pid_t of)
{
    char prefix[256];
    char number[32];
    snprintf(prefix, sizeof(prefix), "%s/core", folder);
    snprintf(number, sizeof(number), "%d", (int)of);
    const pid_t gcore = fork();
    if (gcore == 0) {
        const int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
        execl("/usr/bin/gcore", "gcore", "-o", prefix, number, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    CHECK(waitpid(gcore, &status, 0) == gcore);
    return status == 0;
}

/* false: it may not. */
static bool make_core_with_gcore(const char *folder)
{
    int ready[2];
    char byte = 0;
    CHECK(pipe(ready) == 0);
    const pid_t child = fork();
    if (child == 0) {
        wait_to_be_read(ready[1]);
    }
    close(ready[1]);
    CHECK(read(ready[0], &byte, 1) == 1);
    const bool is_made = start_gcore(folder, child);
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(waitpid(child, NULL, 0) == child);
    return is_made;
}

/* false: it would not. */
static bool make_core_with_kernel(const char *folder)
{
    const pid_t child = fork();
    if (child == 0) {
        die_with_a_core(folder);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK((WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT) ||
          (WIFEXITED(status) && WEXITSTATUS(status) == NO_CORE));
    return WIFSIGNALED(status) && WCOREDUMP(status);
}

static void check_core(const char *folder)
{
    char path[512];
    CHECK(find_core(folder, path, sizeof(path)));
    CHECK_EQUAL(secret_count_in_file(path), 0);
    CHECK_EQUAL(secret_count_control_in_file(path), 1);
    CHECK(unlink(path) == 0);
}

__attribute__((noreturn)) static void find_no_secret_in_a_core(const char *folder)
{
    bool is_checked = false;
    secret_make();
    if (kernel_writes_to_the_current_folder() && make_core_with_kernel(folder)) {
        check_core(folder);
        is_checked = true;
    }
    if (access("/usr/bin/gcore", X_OK) == 0 && make_core_with_gcore(folder)) {
        check_core(folder);
        is_checked = true;
    }
    child_exit(is_checked ? 0 : SKIP_EXIT_CODE);
}

/* Not by child_run, which takes the right to dump core away for good. */
void wipe_core_file_has_no_secret(void **state)
{
    char folder[] = "/tmp/secure_malloc-core.XXXXXX";
    int status = 0;
    (void)state;
    if (SANITIZED) {
        skip_test("the sanitizers' shadow makes a core file of terabytes");
    }
    assert_non_null(mkdtemp(folder));
    const pid_t child = fork();
    if (child == 0) {
        find_no_secret_in_a_core(folder);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    remove_folder(folder);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIP_EXIT_CODE) {
        skip_test("needs gcore (package gdb), or a kernel that writes core files here");
    }
    assert_int_equal(status, 0);
}
