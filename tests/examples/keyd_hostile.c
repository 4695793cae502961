/* SPDX-License-Identifier: ISC */
/*
 * A client that keeps to no rule: broken, oversized and half requests, and more silent connections
 * than keyd has threads. keyd must say what the protocol says, and go on.
 *
 * usage: keyd_hostile SOCKET    of a keyd with --timeout 1
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../examples/keyd/protocol.h"

enum { PATIENCE_MS = 10 * 1000, SILENT_CLIENTS = 8, CLOSED = -1, REQUEST_MAX = 80 };

struct request {
    const char *name;
    unsigned char bytes[REQUEST_MAX];
    size_t size;
    int status;     /* that keyd shall answer with; CLOSED: no answer */
    bool is_closed; /* shall it close the connection then? */
};

static const struct request requests[] = {
    {"an empty frame", {0, 0, 0, 0}, 4, KEYD_BAD_REQUEST, true},
    {"4 GiB", {0xff, 0xff, 0xff, 0xff}, 4, KEYD_TOO_LARGE, true},
    {"one byte too many", {0, 0x10, 0, 0x42, KEYD_SIGN}, 5, KEYD_TOO_LARGE, true},
    {"an unknown kind", {0, 0, 0, 1, 9}, 5, KEYD_BAD_REQUEST, true},
    {"a list of something", {0, 0, 0, 2, KEYD_LIST, 1}, 6, KEYD_BAD_REQUEST, true},
    {"sign without a name", {0, 0, 0, 1, KEYD_SIGN}, 5, KEYD_BAD_REQUEST, true},
    {"a name of no bytes", {0, 0, 0, 2, KEYD_SIGN, 0}, 6, KEYD_BAD_REQUEST, true},
    {"a name beyond the end", {0, 0, 0, 3, KEYD_SIGN, 2, 'a'}, 7, KEYD_BAD_REQUEST, true},
    {"a name too long", {0, 0, 0, 66, KEYD_SIGN, 64}, 70, KEYD_BAD_REQUEST, true},
    {"a name with a zero", {0, 0, 0, 5, KEYD_SIGN, 3, 'a', 0, 'b'}, 9, KEYD_BAD_REQUEST, true},
    {"a name with a path", {0, 0, 0, 5, KEYD_SIGN, 3, '.', '/', 'a'}, 9, KEYD_BAD_REQUEST, true},
    {"a key that is not there", {0, 0, 0, 4, KEYD_SIGN, 1, '_', 'm'}, 8, KEYD_NO_SUCH_KEY, false},
    {"half a head", {0, 0}, 2, CLOSED, true},
    {"half a body", {0, 0, 0, 9, KEYD_SIGN}, 5, CLOSED, true},
};

static _Noreturn void fail(const char *name, const char *what)
{
    (void)fprintf(stderr, "keyd_hostile: %s: %s\n", name, what);
    exit(EXIT_FAILURE);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof address.sun_path) {
        fail(path, "too long");
    }
    memcpy(address.sun_path, path, strlen(path));
    const int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0 || connect(client, (const struct sockaddr *)&address, sizeof address) != 0) {
        fail(path, strerror(errno));
    }
    return client;
}

/* Reads up to size bytes; how many there were before the end, or -1 when nothing happens. */
static int receive(int client, unsigned char *bytes, size_t size)
{
    size_t done = 0;

    while (done < size) {
        struct pollfd wait = {client, POLLIN, 0};
        if (poll(&wait, 1, PATIENCE_MS) <= 0) {
            return -1;
        }
        const ssize_t got = recv(client, bytes + done, size - done, 0);
        if (got <= 0) {
            break; /* closed, or reset because it did not read all that we sent */
        }
        done += (size_t)got;
    }
    return (int)done;
}

static void try_request(const char *path, const struct request *request)
{
    static const unsigned char list[] = {0, 0, 0, 1, KEYD_LIST};
    unsigned char reply[KEYD_HEAD_SIZE + 1] = {0};

    const int client = connect_to(path);
    if (send(client, request->bytes, request->size, MSG_NOSIGNAL) != (ssize_t)request->size) {
        fail(request->name, "cannot be sent");
    }
    if (request->status != CLOSED) {
        if (receive(client, reply, sizeof reply) != (int)sizeof reply) {
            fail(request->name, "no answer");
        }
        if (reply[3] != 1 || reply[KEYD_HEAD_SIZE] != request->status) {
            fail(request->name, "another status than it should be");
        }
    }
    if (!request->is_closed) {
        if (send(client, list, sizeof list, MSG_NOSIGNAL) != (ssize_t)sizeof list ||
            receive(client, reply, sizeof reply) != (int)sizeof reply ||
            reply[KEYD_HEAD_SIZE] != KEYD_OK) {
            fail(request->name, "no further request is answered");
        }
    } else if (receive(client, reply, 1) != 0) {
        fail(request->name, "the connection is not closed");
    }
    (void)close(client);
}

/* Silent clients take every thread; an honest one must get its turn when their time is over. */
static void try_silence(const char *path)
{
    static const struct request honest = {"a request behind silent clients",
                                          {0, 0, 0, 4, KEYD_SIGN, 1, '_', 'm'},
                                          8,
                                          KEYD_NO_SUCH_KEY,
                                          false};
    int silent[SILENT_CLIENTS];

    for (int i = 0; i < SILENT_CLIENTS; i++) {
        silent[i] = connect_to(path);
    }
    try_request(path, &honest);
    for (int i = 0; i < SILENT_CLIENTS; i++) {
        (void)close(silent[i]);
    }
}

int main(int count, char **words)
{
    if (count != 2) {
        (void)fprintf(stderr, "usage: keyd_hostile SOCKET\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        try_request(words[1], &requests[i]);
    }
    try_silence(words[1]);
    return EXIT_SUCCESS;
}
