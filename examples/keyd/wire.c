/* SPDX-License-Identifier: ISC */
/* Frames on a socket: see wire.h. The sizes come from a stranger and are checked before use. */
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#include "protocol.h"

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until the socket can be read or written. 0 or -errno. */
static int wait_for(const struct wire *wire, short events, int64_t deadline)
{
    struct pollfd fds[2] = {{wire->socket, events, 0}, {wire->stop, POLLIN, 0}};

    for (;;) {
        const int64_t left = deadline - now_ms();
        if (left <= 0) {
            return -ETIMEDOUT;
        }
        const int ready = poll(fds, 2, (int)left);
        if (ready < 0 && errno != EINTR) {
            return -errno;
        }
        if (ready > 0 && fds[1].revents != 0) {
            return -ECANCELED;
        }
        if (ready > 0 && fds[0].revents != 0) {
            return 0;
        }
    }
}

static bool may_retry(int error)
{
    return error == EAGAIN || error == EINTR;
}

/* Reads exactly size bytes. 1; 0 if the stream ended before the first one; or -errno. */
static int read_all(const struct wire *wire, unsigned char *bytes, size_t size, int64_t deadline)
{
    size_t done = 0;

    while (done < size) {
        const int error = wait_for(wire, POLLIN, deadline);
        if (error != 0) {
            return error;
        }
        const ssize_t got = recv(wire->socket, bytes + done, size - done, 0);
        if (got == 0) {
            return done == 0 ? 0 : -EPROTO;
        }
        if (got < 0 && !may_retry(errno)) {
            return -errno;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return 1;
}

static int write_all(const struct wire *wire, const unsigned char *bytes, size_t size,
                     int64_t deadline)
{
    size_t done = 0;

    while (done < size) {
        const int error = wait_for(wire, POLLOUT, deadline);
        if (error != 0) {
            return error;
        }
        const ssize_t sent = send(wire->socket, bytes + done, size - done, MSG_NOSIGNAL);
        if (sent < 0 && !may_retry(errno)) {
            return -errno;
        }
        done += sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

ssize_t wire_read(const struct wire *wire, unsigned char *body, size_t max)
{
    const int64_t deadline = now_ms() + wire->timeout_ms;
    unsigned char head[KEYD_HEAD_SIZE] = {0};

    const int got = read_all(wire, head, sizeof head, deadline);
    if (got <= 0) {
        return got;
    }
    const size_t size =
        (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | (size_t)head[3];
    if (size == 0) {
        return -EPROTO;
    }
    if (size > max) {
        return -EMSGSIZE;
    }
    const int rest = read_all(wire, body, size, deadline);
    if (rest <= 0) {
        return rest == 0 ? -EPROTO : rest;
    }
    return (ssize_t)size;
}

int wire_write(const struct wire *wire, const unsigned char *body, size_t size)
{
    const int64_t deadline = now_ms() + wire->timeout_ms;
    const unsigned char head[KEYD_HEAD_SIZE] = {(unsigned char)(size >> 24),
                                                (unsigned char)(size >> 16),
                                                (unsigned char)(size >> 8), (unsigned char)size};

    const int error = write_all(wire, head, sizeof head, deadline);
    return error != 0 ? error : write_all(wire, body, size, deadline);
}
