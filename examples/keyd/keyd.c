/* SPDX-License-Identifier: ISC */
/*
 * keyd: a signing agent. This file holds the order in which things happen, and the reasons:
 *
 *   no core files      before there is a secret
 *   load the keys      while we may still be root
 *   become the user    for good; from here the user's memlock limit counts: unused locks go
 *   bind the socket    as the user, who also has to remove it
 *   fork               the library locks the child's copy of the keys before fork returns
 *   start the threads  after the fork: threads do not survive it
 *   wait for signals   with sigwait, so none of this has to be async-signal-safe
 */
#include <errno.h>
#include <secure_malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyring.h"
#include "options.h"
#include "process.h"
#include "say.h"
#include "server.h"

/* One line, and the status for the end. */
static int fail(enum keyd_exit status, const char *what, int error)
{
    say("%s: %s", what, strerror(-error));
    return (int)status;
}

static int make_keys(const struct options *options, const struct key_owner *owner)
{
    if (options->make_count == 0) {
        return KEYD_EXIT_OK;
    }
    const int directory = keyring_open_directory(options->keys, owner->user);
    int error = directory < 0 ? directory : 0;
    for (size_t i = 0; i < options->make_count && error == 0; i++) {
        error = key_make(directory, options->make[i], owner);
        error = error == -EEXIST ? 0 : error;
    }
    if (directory >= 0) {
        (void)close(directory);
    }
    if (error == 0) {
        return KEYD_EXIT_OK;
    }
    return error == -ENOMEM ? KEYD_EXIT_MEMORY : KEYD_EXIT_KEYS;
}

/* All signals that we wait for are blocked, in every thread: sigwait takes them. */
static void block_signals(sigset_t *signals)
{
    (void)sigemptyset(signals);
    (void)sigaddset(signals, SIGHUP);
    (void)sigaddset(signals, SIGUSR1);
    (void)sigaddset(signals, SIGTERM);
    (void)sigaddset(signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, signals, NULL);
}

/* Does what the signals say until one says stop. */
static void obey_signals(const sigset_t *signals, struct keyring *ring,
                         const struct options *options)
{
    for (;;) {
        int signal = 0;
        if (sigwait(signals, &signal) != 0) {
            continue;
        }
        if (signal == SIGTERM || signal == SIGINT) {
            return;
        }
        if (signal == SIGUSR1) {
            keyring_zeroize(ring);
            say("all secrets are wiped");
        } else if (keyring_load(ring, options->keys, geteuid(), KEYRING_RELOAD) == 0) {
            say("reloaded: %zu keys", keyring_count(ring));
        }
    }
}

/*
 * Into the background. The library has locked the child's copy of the keys again, or, if the limit
 * did not allow it, has taken them away: an error now is better than a fault at the first request.
 */
static int detach(int *parent)
{
    struct secure_stats before = SECURE_STATS_INIT;
    struct secure_stats after = SECURE_STATS_INIT;

    (void)secure_stats(&before);
    *parent = process_detach();
    if (*parent < 0) {
        return fail(KEYD_EXIT_SYSTEM, "cannot go to the background", *parent);
    }
    if (secure_stats(&after) == 0 && after.relock_failures > before.relock_failures) {
        return fail(KEYD_EXIT_MEMORY, "cannot lock the keys in the background", -ENOMEM);
    }
    return KEYD_EXIT_OK;
}

/* Tells the world that we serve, and obeys it until the end. */
static int serve_until_told(const struct options *options, struct keyring *ring, int parent,
                            const sigset_t *signals)
{
    int error = options->pid_file == NULL ? 0 : process_write_pid(options->pid_file);
    if (error != 0) {
        return fail(KEYD_EXIT_SOCKET, options->pid_file, error);
    }
    say("%zu keys, listening on %s", keyring_count(ring), options->socket);
    if (parent >= 0) {
        error = process_ready(parent);
    }
    if (error == 0) {
        obey_signals(signals, ring, options);
    }
    if (options->pid_file != NULL) {
        (void)unlink(options->pid_file);
    }
    return error == 0 ? KEYD_EXIT_OK : fail(KEYD_EXIT_SYSTEM, "cannot leave the terminal", error);
}

/* Everything between the socket that is bound and the end. */
static int run(const struct options *options, struct keyring *ring, int listener,
               const sigset_t *signals)
{
    struct server server;
    int parent = -1;
    int status = options->is_daemon ? detach(&parent) : KEYD_EXIT_OK;

    if (status != KEYD_EXIT_OK) {
        return status;
    }
    const int error = server_start(&server, ring, listener, options->threads, options->timeout_ms);
    if (error != 0) {
        return fail(KEYD_EXIT_SYSTEM, "cannot start the threads", error);
    }
    status = serve_until_told(options, ring, parent, signals);
    server_stop(&server);
    return status;
}

static int serve(const struct options *options, struct keyring *ring, const sigset_t *signals)
{
    const int listener = server_listen(options->socket);
    if (listener < 0) {
        return fail(KEYD_EXIT_SOCKET, options->socket, listener);
    }
    const int status = run(options, ring, listener, signals);
    (void)unlink(options->socket);
    (void)close(listener);
    return status;
}

/* The keys in memory and the right user, then serve. */
static int load_and_serve(const struct options *options, const struct key_owner *owner,
                          const sigset_t *signals)
{
    struct keyring ring;

    int error = keyring_init(&ring);
    if (error != 0) {
        return fail(KEYD_EXIT_SYSTEM, "cannot start", error);
    }
    int status = KEYD_EXIT_OK;
    error = keyring_load(&ring, options->keys, owner->user, KEYRING_START);
    if (error != 0) {
        status = error == -ENOMEM ? KEYD_EXIT_MEMORY : KEYD_EXIT_KEYS;
    } else if (options->user != NULL && (error = process_become(owner)) != 0) {
        status = fail(KEYD_EXIT_SYSTEM, options->user, error);
    } else {
        /*
         * Root's limit let the library lock more than the keys need; the user's may be too small
         * for it, and a fork locks everything again.
         */
        (void)secure_trim();
        status = serve(options, &ring, signals);
    }
    keyring_close(&ring);
    return status;
}

int main(int count, char **words)
{
    struct options options;
    struct key_owner owner = {geteuid(), getegid()};
    sigset_t signals;

    options_parse(&options, count, words);
    (void)umask(S_IRWXG | S_IRWXO);
    block_signals(&signals);
    const int error = process_forbid_dumps();
    if (error != 0) {
        return fail(KEYD_EXIT_SYSTEM, "cannot forbid core files", error);
    }
    if (sodium_init() < 0) {
        return fail(KEYD_EXIT_SYSTEM, "libsodium", -ENOSYS);
    }
    if (options.user != NULL && process_find_user(options.user, &owner) != 0) {
        return fail(KEYD_EXIT_USAGE, options.user, -ENOENT);
    }
    const int status = make_keys(&options, &owner);
    if (status != KEYD_EXIT_OK || options.socket == NULL) {
        return status;
    }
    return load_and_serve(&options, &owner, &signals);
}
