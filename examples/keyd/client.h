/* SPDX-License-Identifier: ISC */
/* A client's side of keyd's protocol. Holds no secret: signatures and public keys are public. */
#ifndef KEYD_CLIENT_H
#define KEYD_CLIENT_H

#include <stddef.h>

#include "protocol.h"
#include "wire.h"

struct client {
    struct wire wire;
    unsigned char body[KEYD_BODY_MAX]; /* the request, then the reply */
    size_t size;                       /* of the reply */
};

/* Connects. 0 or -errno. */
int client_connect(struct client *client, const char *socket_path);

void client_close(struct client *client);

/* These return the reply's status, or -errno. */
int client_list(struct client *client);
int client_sign(struct client *client, const char *name, const unsigned char *message, size_t size,
                unsigned char signature[KEYD_SIGNATURE_SIZE]);
int client_find(struct client *client, const char *name,
                unsigned char public_key[KEYD_PUBLIC_KEY_SIZE]);

/*
 * Walks over the list that client_list got. at starts at 0 and is moved on. 1 and the next key; 0
 * at the end; -EPROTO if the list is broken.
 */
int client_next(const struct client *client, size_t *at, char name[KEYD_NAME_MAX + 1],
                unsigned char public_key[KEYD_PUBLIC_KEY_SIZE]);

#endif
