/* SPDX-License-Identifier: ISC */
/*
 * The threads of keyd: each takes one client at a time, answers its requests and lets it go when
 * it is silent for too long. Nothing is allocated while they serve, whatever a client sends.
 */
#ifndef KEYD_SERVER_H
#define KEYD_SERVER_H

#include <pthread.h>
#include <stddef.h>

#include "keyring.h"

enum { SERVER_THREADS_MAX = 64 };

struct server {
    struct keyring *ring;
    int listener;
    int stop; /* an eventfd: readable when the threads shall end */
    int timeout_ms;
    size_t thread_count;
    pthread_t threads[SERVER_THREADS_MAX];
};

/*
 * Binds the socket, for its owner alone; one that a dead keyd left behind is replaced. A
 * descriptor; -EADDRINUSE if somebody answers there; or -errno.
 */
int server_listen(const char *path);

/* Starts the threads. 0 or -errno; on failure none is left. */
int server_start(struct server *server, struct keyring *ring, int listener, size_t thread_count,
                 int timeout_ms);

/* Ends the threads, at the latest when their request in hand is answered, and waits for them. */
void server_stop(struct server *server);

#endif
