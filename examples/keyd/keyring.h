/* SPDX-License-Identifier: ISC */
/*
 * The keys that keyd has, shared by its threads. Signers hold the ring for reading while they
 * compute and nothing else; reload and zeroize hold it for writing, so when they return no thread
 * has a copy of a secret that they took away, not on its stack either.
 */
#ifndef KEYD_KEYRING_H
#define KEYD_KEYRING_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "key.h"
#include "protocol.h"

struct keyring {
    pthread_rwlock_t mutex; /* guards what follows */
    struct key *keys;       /* sorted by name */
    size_t count;
    bool zeroized; /* the secrets read zero, the rest of each key is as it was */
};

/* At the start a bad file is an error; a running daemon leaves that key out and goes on. */
enum keyring_mode { KEYRING_START, KEYRING_RELOAD };

/* 0 or -errno. */
int keyring_init(struct keyring *ring);

/*
 * Opens the directory of the keys: the owner's or root's, and nobody else may write to it. A
 * descriptor, or -errno after a line that says why.
 */
int keyring_open_directory(const char *path, uid_t owner);

/*
 * Takes the keys that are in the directory now; those whose file is gone are wiped. The new keys
 * are read before the old ones go, so a reload needs the memory of both for a moment. 0, or -errno
 * after a line that says why; then the keys are as they were.
 */
int keyring_load(struct keyring *ring, const char *path, uid_t owner, enum keyring_mode mode);

/* Wipes every secret at once; signatures are refused until a reload. */
void keyring_zeroize(struct keyring *ring);

enum keyd_status keyring_sign(struct keyring *ring, const char *name, const unsigned char *message,
                              size_t size, unsigned char signature[KEYD_SIGNATURE_SIZE]);

/* Writes the list of the keys as the protocol has it. Its size; max is enough for all of them. */
size_t keyring_list(struct keyring *ring, unsigned char *list);

size_t keyring_count(struct keyring *ring);

/* Wipes and frees everything. */
void keyring_close(struct keyring *ring);

enum { KEYRING_LIST_MAX = KEYD_KEYS_MAX * (1 + KEYD_NAME_MAX + KEYD_PUBLIC_KEY_SIZE) };

#endif
