/* SPDX-License-Identifier: ISC */
/* A client's side of keyd's protocol: see client.h. What the agent says is checked as well. */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { TIMEOUT_MS = 30 * 1000 };

int client_connect(struct client *client, const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(socket_path) >= sizeof address.sun_path) {
        return -ENAMETOOLONG;
    }
    memcpy(address.sun_path, socket_path, strlen(socket_path));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        const int error = -errno;
        (void)close(fd);
        return error;
    }
    client->wire = (struct wire){fd, -1, TIMEOUT_MS};
    return 0;
}

void client_close(struct client *client)
{
    (void)close(client->wire.socket);
}

/* Sends the first size bytes of the body and reads the reply into it. */
static int ask(struct client *client, size_t size)
{
    const int error = wire_write(&client->wire, client->body, size);
    if (error != 0) {
        return error;
    }
    const ssize_t got = wire_read(&client->wire, client->body, sizeof client->body);
    if (got <= 0) {
        return got == 0 ? -ECONNRESET : (int)got;
    }
    client->size = (size_t)got;
    return client->body[0];
}

int client_list(struct client *client)
{
    client->body[0] = KEYD_LIST;
    return ask(client, 1);
}

int client_sign(struct client *client, const char *name, const unsigned char *message, size_t size,
                unsigned char signature[KEYD_SIGNATURE_SIZE])
{
    const size_t length = strlen(name);
    if (length == 0 || length > KEYD_NAME_MAX) {
        return KEYD_NO_SUCH_KEY;
    }
    if (size > KEYD_MESSAGE_MAX) {
        return KEYD_TOO_LARGE;
    }
    client->body[0] = KEYD_SIGN;
    client->body[1] = (unsigned char)length;
    memcpy(client->body + 2, name, length);
    memcpy(client->body + 2 + length, message, size);
    const int status = ask(client, 2 + length + size);
    if (status != KEYD_OK) {
        return status;
    }
    if (client->size != 1 + KEYD_SIGNATURE_SIZE) {
        return -EPROTO;
    }
    memcpy(signature, client->body + 1, KEYD_SIGNATURE_SIZE);
    return KEYD_OK;
}

int client_next(const struct client *client, size_t *at, char name[KEYD_NAME_MAX + 1],
                unsigned char public_key[KEYD_PUBLIC_KEY_SIZE])
{
    const unsigned char *entry = client->body + 1 + *at;
    const size_t left = client->size - 1 - *at;

    if (left == 0) {
        return 0;
    }
    const size_t length = entry[0];
    if (length == 0 || length > KEYD_NAME_MAX || left < 1 + length + KEYD_PUBLIC_KEY_SIZE) {
        return -EPROTO;
    }
    memcpy(name, entry + 1, length);
    name[length] = '\0';
    memcpy(public_key, entry + 1 + length, KEYD_PUBLIC_KEY_SIZE);
    *at += 1 + length + KEYD_PUBLIC_KEY_SIZE;
    return 1;
}

int client_find(struct client *client, const char *name,
                unsigned char public_key[KEYD_PUBLIC_KEY_SIZE])
{
    char found[KEYD_NAME_MAX + 1];
    size_t at = 0;

    const int status = client_list(client);
    if (status != KEYD_OK) {
        return status;
    }
    int more = 0;
    while ((more = client_next(client, &at, found, public_key)) > 0) {
        if (strcmp(found, name) == 0) {
            return KEYD_OK;
        }
    }
    return more < 0 ? more : KEYD_NO_SUCH_KEY;
}
