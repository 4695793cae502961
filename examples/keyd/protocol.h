/* SPDX-License-Identifier: ISC */
/*
 * The protocol between keyd and its clients, on a Unix stream socket.
 *
 * Both sides send frames: four bytes, the size of the body (big-endian, 1 .. KEYD_BODY_MAX), then
 * the body. A client sends a request and reads one reply, as often as it likes. A name is one byte,
 * its length (1 .. KEYD_NAME_MAX), then that many bytes out of A-Z a-z 0-9 - _ and ., the first one
 * no dot.
 *
 *     request  KEYD_LIST                        reply  KEYD_OK, then for each key: name, public key
 *     request  KEYD_SIGN, name, message bytes   reply  KEYD_OK, signature
 *
 * The first byte of a request is its kind, the first byte of a reply its status; a status other
 * than KEYD_OK is the whole reply. Signatures are Ed25519 over the message as it is. After a
 * KEYD_BAD_REQUEST or KEYD_TOO_LARGE, and when a whole frame did not come or go within keyd's
 * timeout, keyd closes the connection.
 *
 * No secret ever travels here: a client can ask for signatures, never for keys.
 */
#ifndef KEYD_PROTOCOL_H
#define KEYD_PROTOCOL_H

enum {
    KEYD_HEAD_SIZE = 4,
    KEYD_NAME_MAX = 63,
    KEYD_MESSAGE_MAX = 1024 * 1024,
    KEYD_BODY_MAX = 1 + 1 + KEYD_NAME_MAX + KEYD_MESSAGE_MAX,
    KEYD_PUBLIC_KEY_SIZE = 32,
    KEYD_SIGNATURE_SIZE = 64,
    KEYD_KEYS_MAX = 1024
};

enum keyd_request { KEYD_LIST = 1, KEYD_SIGN = 2 };

enum keyd_status {
    KEYD_OK = 0,
    KEYD_BAD_REQUEST = 1,
    KEYD_TOO_LARGE = 2,
    KEYD_NO_SUCH_KEY = 3,
    KEYD_ZEROIZED = 4, /* the secrets were wiped (SIGUSR1); a reload (SIGHUP) brings them back */
    KEYD_FAILED = 5
};

#endif
