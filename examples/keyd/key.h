/* SPDX-License-Identifier: ISC */
/*
 * One signing key: from its file to its signatures. This is the only file of keyd that touches a
 * secret; what it keeps to is worth copying:
 *
 * - A secret lives in memory from secure_malloc: locked, wiped by secure_free, in no core file.
 * - It comes out of its file by read(2), straight into that memory: stdio would keep a copy in a
 *   buffer that nobody wipes, an array on the stack would stay there after the return.
 * - libsodium computes on the stack. It wipes the most telling of its variables, but not all, nor
 *   what the compiler put beside them: the stack below us is cleared before anything else uses it.
 * - Before a signature is made, the secret is compared with the public key: a wiped or damaged
 *   secret would give signatures from which the true one can be computed.
 */
#ifndef KEYD_KEY_H
#define KEYD_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "protocol.h"

struct key {
    char name[KEYD_NAME_MAX + 1];
    unsigned char public_key[KEYD_PUBLIC_KEY_SIZE];
    unsigned char *secret; /* secure memory: the seed, then the public key, as libsodium has it */
};

/* Who the files of the keys must belong to: the user that keyd ends up as. */
struct key_owner {
    uid_t user;
    gid_t group;
};

bool key_is_name(const char *name);

/*
 * Reads the key from its file: 32 bytes of seed, a regular file, the owner's alone (mode 0600 or
 * 0400). 0, or -errno after a line that says why.
 */
int key_load(struct key *key, int directory, const char *name, uid_t owner);

/*
 * Makes a key's file with a new seed, whole or not at all. 0; -EEXIST if there is one; or -errno
 * after a line that says why.
 */
int key_make(int directory, const char *name, const struct key_owner *owner);

/* Signs. 0; -ENODATA if the secret is not the key's any more; or -EIO. */
int key_sign(const struct key *key, const unsigned char *message, size_t size,
             unsigned char signature[KEYD_SIGNATURE_SIZE]);

/* Wipes and frees the secret. */
void key_clear(struct key *key);

#endif
