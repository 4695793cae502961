/* SPDX-License-Identifier: ISC */
/*
 * Frames on a socket, for keyd and keyd-sign alike. Knows sizes and time, not what a frame means.
 */
#ifndef KEYD_WIRE_H
#define KEYD_WIRE_H

#include <stddef.h>
#include <sys/types.h>

struct wire {
    int socket;     /* non-blocking */
    int stop;       /* readable as soon as we shall give up; -1: never */
    int timeout_ms; /* for a whole frame, however slowly it trickles */
};

/*
 * Reads one frame's body. Its size; 0 at the end of the stream; -ETIMEDOUT, -ECANCELED (stop),
 * -EPROTO (an empty or broken frame), -EMSGSIZE (larger than max, which was left unread), or what
 * read gave.
 */
ssize_t wire_read(const struct wire *wire, unsigned char *body, size_t max);

/* Writes one frame. 0, or as wire_read. */
int wire_write(const struct wire *wire, const unsigned char *body, size_t size);

#endif
