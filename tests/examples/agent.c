/* SPDX-License-Identifier: ISC */
/* The keyd under test: see agent.h. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "verdict.h"

/* A socket's path must be short, so everything is in one short folder. */
enum { FOLDER_SIZE = 32, PATH_SIZE = 64, LONG_PATH_SIZE = 128, TRIES = 200, ROUNDS = 25 };

const char *const agent_keys[AGENT_KEYS] = {"alpha", "beta", "made"};

static struct {
    char *keyd;
    char *keyd_sign;
    char folder[FOLDER_SIZE];
    char keys[PATH_SIZE];
    char socket[PATH_SIZE];
    char pid_file[PATH_SIZE];
    struct traced traced;
    bool is_running;
    bool is_daemon; /* a second process, which the pid file names */
} agent;

static void key_path(char path[LONG_PATH_SIZE], const char *prefix, size_t key)
{
    (void)snprintf(path, LONG_PATH_SIZE, "%s/%s%s", agent.keys, prefix, agent_keys[key]);
}

static void write_key(size_t key)
{
    unsigned char seed[SCAN_SEED_SIZE];
    char path[LONG_PATH_SIZE];

    key_path(path, "", key);
    randombytes_buf(seed, sizeof seed);
    const int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0 || write(file, seed, sizeof seed) != (ssize_t)sizeof seed || close(file) != 0) {
        verdict_fail(path, strerror(errno));
    }
    sodium_memzero(seed, sizeof seed);
}

void agent_prepare(char *keyd, char *keyd_sign)
{
    agent.keyd = keyd;
    agent.keyd_sign = keyd_sign;
    (void)snprintf(agent.folder, sizeof agent.folder, "/tmp/keyd-scan.XXXXXX");
    if (mkdtemp(agent.folder) == NULL) {
        agent.folder[0] = '\0';
        verdict_fail("/tmp", strerror(errno));
    }
    (void)snprintf(agent.keys, sizeof agent.keys, "%s/keys", agent.folder);
    (void)snprintf(agent.socket, sizeof agent.socket, "%s/socket", agent.folder);
    (void)snprintf(agent.pid_file, sizeof agent.pid_file, "%s/pid", agent.folder);
    if (mkdir(agent.keys, 0700) != 0) {
        verdict_fail(agent.keys, strerror(errno));
    }
    for (size_t key = 0; key < AGENT_MADE; key++) {
        write_key(key);
    }
}

struct traced *agent_start(bool is_daemon)
{
    char options[][16] = {"--keys", "--socket", "--pid-file", "--make", "made", "--daemon"};
    char *words[] = {
        agent.keyd, options[0],     agent.keys, options[1], agent.socket,
        options[2], agent.pid_file, options[3], options[4], is_daemon ? options[5] : NULL,
        NULL};

    const int error = traced_start(&agent.traced, words);
    if (error == -EPERM || error == -EACCES) {
        verdict_skip("ptrace is not allowed here");
    }
    if (error != 0) {
        verdict_fail("start", strerror(-error));
    }
    agent.is_running = true;
    agent.is_daemon = is_daemon;
    return &agent.traced;
}

/* How does keyd-sign end when it signs with this key, or lists? */
static int ask(const char *key)
{
    char options[][16] = {"--socket", "--list", "--key"};
    char name[PATH_SIZE];

    (void)snprintf(name, sizeof name, "%s", key == NULL ? "" : key);
    char *list[] = {agent.keyd_sign, options[0], agent.socket, options[1], NULL};
    char *sign[] = {agent.keyd_sign, options[0], agent.socket, options[2], name, NULL};
    return run_program(key == NULL ? list : sign);
}

void agent_await(const char *when, const char *key, int status)
{
    const struct timespec pause = {0, 50L * 1000 * 1000};

    for (int i = 0; i < TRIES; i++) {
        if (ask(key) == status) {
            return;
        }
        (void)nanosleep(&pause, NULL);
    }
    verdict_fail(when, "keyd does not come to the state that it should");
}

void agent_sign(const char *when, const char *key)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (ask(key) != AGENT_DONE) {
            verdict_fail(when, "a signature was refused");
        }
    }
}

static void rename_key(size_t key, const char *from_prefix, const char *to_prefix)
{
    char from[LONG_PATH_SIZE];
    char to[LONG_PATH_SIZE];

    key_path(from, from_prefix, key);
    key_path(to, to_prefix, key);
    if (rename(from, to) != 0) {
        verdict_fail(from, strerror(errno));
    }
}

void agent_hide_key(size_t key)
{
    rename_key(key, "", ".");
}

void agent_unhide_key(size_t key)
{
    rename_key(key, ".", "");
}

void agent_learn_key(size_t key, struct scan_secret *secret)
{
    unsigned char seed[SCAN_SEED_SIZE];
    char path[LONG_PATH_SIZE];

    key_path(path, "", key);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, seed, sizeof seed) != (ssize_t)sizeof seed || close(file) != 0) {
        verdict_fail(path, strerror(errno));
    }
    scan_learn(secret, seed);
    sodium_memzero(seed, sizeof seed);
}

/* 0: there is none. */
static pid_t find_pid(void)
{
    char text[32] = "";

    const int file = open(agent.pid_file, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return 0;
    }
    (void)!read(file, text, sizeof text - 1);
    (void)close(file);
    return (pid_t)strtol(text, NULL, 10);
}

pid_t agent_read_pid(void)
{
    const pid_t pid = find_pid();
    if (pid <= 1) {
        verdict_fail(agent.pid_file, "no process's id"); /* kill takes 0 and -1 for many */
    }
    return pid;
}

int agent_finish(void)
{
    agent.is_running = false;
    return traced_finish(&agent.traced);
}

void agent_clean_up(void)
{
    char path[LONG_PATH_SIZE];

    const pid_t daemon_pid = agent.is_daemon ? find_pid() : 0;
    if (daemon_pid > 1) {
        (void)kill(daemon_pid, SIGKILL);
    }
    if (agent.is_running) {
        traced_kill(&agent.traced);
    }
    if (agent.folder[0] == '\0') {
        return;
    }
    for (size_t key = 0; key < AGENT_KEYS; key++) {
        key_path(path, "", key);
        (void)unlink(path);
        key_path(path, ".", key);
        (void)unlink(path);
    }
    (void)rmdir(agent.keys);
    (void)unlink(agent.socket);
    (void)unlink(agent.pid_file);
    (void)rmdir(agent.folder);
}
