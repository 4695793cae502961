/* SPDX-License-Identifier: ISC */
/* The threads of keyd: see server.h. Everything that comes from a client is checked here. */
#include "server.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "protocol.h"
#include "wire.h"

enum { BACKLOG = 128, STACK_SIZE = 256 * 1024, SCARCITY_PAUSE_MS = 100 };

struct worker {
    const struct server *server;
    unsigned char request[KEYD_BODY_MAX];
    unsigned char reply[1 + KEYRING_LIST_MAX];
};

/* Does a process accept connections at this address? */
static bool is_answering(const struct sockaddr_un *address)
{
    const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) {
        return true; /* we cannot know, so we do not take the socket away */
    }
    const int result = connect(probe, (const struct sockaddr *)address, sizeof *address);
    const bool is_dead = result != 0 && (errno == ECONNREFUSED || errno == ENOENT);
    (void)close(probe);
    return !is_dead;
}

int server_listen(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof address.sun_path) {
        return -ENAMETOOLONG;
    }
    memcpy(address.sun_path, path, strlen(path));
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0) {
        return -errno;
    }
    int result = bind(listener, (const struct sockaddr *)&address, sizeof address);
    if (result != 0 && errno == EADDRINUSE) {
        if (is_answering(&address)) {
            (void)close(listener);
            return -EADDRINUSE;
        }
        (void)unlink(path);
        result = bind(listener, (const struct sockaddr *)&address, sizeof address);
    }
    if (result != 0 || listen(listener, BACKLOG) != 0) {
        const int error = -errno;
        (void)close(listener);
        return error;
    }
    return listener;
}

/* A request to sign: name and message. The size of the reply. */
static size_t answer_sign(struct worker *worker, size_t size)
{
    const unsigned char *request = worker->request;
    char name[KEYD_NAME_MAX + 1] = {0};

    const size_t length = size > 1 ? request[1] : 0;
    if (length == 0 || length > KEYD_NAME_MAX || size < 2 + length) {
        worker->reply[0] = KEYD_BAD_REQUEST;
        return 1;
    }
    memcpy(name, request + 2, length);
    if (strlen(name) != length || !key_is_name(name)) {
        worker->reply[0] = KEYD_BAD_REQUEST;
        return 1;
    }
    const enum keyd_status status = keyring_sign(worker->server->ring, name, request + 2 + length,
                                                 size - 2 - length, worker->reply + 1);
    worker->reply[0] = (unsigned char)status;
    return status == KEYD_OK ? 1 + KEYD_SIGNATURE_SIZE : 1;
}

/* Fills the reply to the request, which is never empty. Its size. */
static size_t answer(struct worker *worker, size_t size)
{
    if (worker->request[0] == KEYD_SIGN) {
        return answer_sign(worker, size);
    }
    if (worker->request[0] == KEYD_LIST && size == 1) {
        worker->reply[0] = KEYD_OK;
        return 1 + keyring_list(worker->server->ring, worker->reply + 1);
    }
    worker->reply[0] = KEYD_BAD_REQUEST;
    return 1;
}

static void serve(struct worker *worker, int client)
{
    const struct wire wire = {client, worker->server->stop, worker->server->timeout_ms};

    for (;;) {
        const ssize_t size = wire_read(&wire, worker->request, sizeof worker->request);
        size_t reply_size = 1;
        if (size > 0) {
            reply_size = answer(worker, (size_t)size);
        } else if (size == -EMSGSIZE) {
            worker->reply[0] = KEYD_TOO_LARGE;
        } else if (size == -EPROTO) {
            worker->reply[0] = KEYD_BAD_REQUEST;
        } else {
            return;
        }
        const bool is_broken =
            worker->reply[0] == KEYD_BAD_REQUEST || worker->reply[0] == KEYD_TOO_LARGE;
        if (wire_write(&wire, worker->reply, reply_size) != 0 || is_broken) {
            return;
        }
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    const struct server *server = worker->server;
    struct pollfd fds[2] = {{server->listener, POLLIN, 0}, {server->stop, POLLIN, 0}};

    for (;;) {
        if (poll(fds, 2, -1) > 0 && fds[1].revents != 0) {
            break;
        }
        /* The threads race for a client; the losers get EAGAIN and wait again. */
        const int client = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client >= 0) {
            serve(worker, client);
            (void)close(client);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            /* The client stays in the queue: asking again at once would only burn time. */
            (void)poll(&fds[1], 1, SCARCITY_PAUSE_MS);
        }
    }
    free(worker);
    return NULL;
}

/* Starts one thread. 0 or -errno. */
static int start_thread(struct server *server, const pthread_attr_t *attributes)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) {
        return -ENOMEM;
    }
    worker->server = server;
    const int error =
        pthread_create(&server->threads[server->thread_count], attributes, work, worker);
    if (error != 0) {
        free(worker);
        return -error;
    }
    server->thread_count++;
    return 0;
}

int server_start(struct server *server, struct keyring *ring, int listener, size_t thread_count,
                 int timeout_ms)
{
    pthread_attr_t attributes;

    *server = (struct server){.ring = ring, .listener = listener, .timeout_ms = timeout_ms};
    server->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->stop < 0) {
        return -errno;
    }
    int error = -pthread_attr_init(&attributes);
    if (error != 0) {
        (void)close(server->stop);
        return error;
    }
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    while (error == 0 && server->thread_count < thread_count) {
        error = start_thread(server, &attributes);
    }
    (void)pthread_attr_destroy(&attributes);
    if (error != 0) {
        server_stop(server);
    }
    return error;
}

void server_stop(struct server *server)
{
    const uint64_t one = 1;

    (void)!write(server->stop, &one, sizeof one);
    for (size_t i = 0; i < server->thread_count; i++) {
        (void)pthread_join(server->threads[i], NULL);
    }
    server->thread_count = 0;
    (void)close(server->stop);
}
