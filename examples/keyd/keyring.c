/* SPDX-License-Identifier: ISC */
/* The keys that keyd has: see keyring.h. Knows no sockets, and touches no secret itself. */
#include "keyring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <secure_malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

/* Keys that no thread sees yet, or no longer. */
struct set {
    struct key *keys;
    size_t count;
};

static void set_free(struct set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        key_clear(&set->keys[i]);
    }
    free(set->keys);
    *set = (struct set){NULL, 0};
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct key *)a)->name, ((const struct key *)b)->name);
}

/* Adds one file of the directory. 0 or -errno. */
static int set_add(struct set *set, int directory, const char *name, uid_t owner)
{
    if (!key_is_name(name)) {
        say("key %s: not a name for a key", name);
        return -EINVAL;
    }
    if (set->count == KEYD_KEYS_MAX) {
        say("key %s: more than %d keys", name, KEYD_KEYS_MAX);
        return -E2BIG;
    }
    const int error = key_load(&set->keys[set->count], directory, name, owner);
    set->count += error == 0;
    return error;
}

/* Reads every key of an open directory, which it takes over. 0 or -errno. */
static int set_read(struct set *set, int directory, uid_t owner, enum keyring_mode mode)
{
    DIR *stream = fdopendir(directory);
    if (stream == NULL) {
        const int error = -errno;
        (void)close(directory);
        return error;
    }
    set->keys = calloc(KEYD_KEYS_MAX, sizeof *set->keys);
    int error = set->keys == NULL ? -ENOMEM : 0;
    const struct dirent *entry = NULL;
    while (error == 0 && (entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] != '.') {
            error = set_add(set, directory, entry->d_name, owner);
        }
        if (error != 0 && mode == KEYRING_RELOAD) {
            error = 0; /* it has said why; the other keys must not suffer */
        }
    }
    (void)closedir(stream);
    if (error == 0) {
        qsort(set->keys, set->count, sizeof *set->keys, compare_names);
    }
    return error;
}

int keyring_open_directory(const char *path, uid_t owner)
{
    struct stat status;
    const int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (directory < 0 || fstat(directory, &status) != 0) {
        const int error = -errno;
        say("%s: %s", path, strerror(-error));
        if (directory >= 0) {
            (void)close(directory);
        }
        return error;
    }
    if ((status.st_uid != owner && status.st_uid != 0) ||
        (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        say("%s: other users may write there", path);
        (void)close(directory);
        return -EPERM;
    }
    return directory;
}

int keyring_init(struct keyring *ring)
{
    pthread_rwlockattr_t attributes;

    *ring = (struct keyring){.keys = NULL};
    int error = pthread_rwlockattr_init(&attributes);
    if (error != 0) {
        return -error;
    }
    /* Busy signers must not keep zeroize waiting, as they may with the default kind. */
    (void)pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    error = pthread_rwlock_init(&ring->mutex, &attributes);
    (void)pthread_rwlockattr_destroy(&attributes);
    return -error;
}

int keyring_load(struct keyring *ring, const char *path, uid_t owner, enum keyring_mode mode)
{
    struct set set = {NULL, 0};

    const int directory = keyring_open_directory(path, owner);
    /* A directory that is gone holds no keys: taking it away must take them away here too. */
    const bool is_gone = mode == KEYRING_RELOAD && directory == -ENOENT;
    if (directory < 0 && !is_gone) {
        return directory;
    }
    const int error = is_gone ? 0 : set_read(&set, directory, owner, mode);
    if (error != 0) {
        set_free(&set);
        return error;
    }
    (void)pthread_rwlock_wrlock(&ring->mutex);
    struct set old = {ring->keys, ring->count};
    ring->keys = set.keys;
    ring->count = set.count;
    ring->zeroized = false;
    (void)pthread_rwlock_unlock(&ring->mutex);
    set_free(&old);
    return 0;
}

void keyring_zeroize(struct keyring *ring)
{
    /*
     * secure_zeroize may be called at any time, from a signal handler too. We wait for the few
     * microseconds of the signatures in the making: none of them is made with half a key, and
     * their threads have cleared their stacks.
     */
    (void)pthread_rwlock_wrlock(&ring->mutex);
    ring->zeroized = true;
    secure_zeroize();
    (void)pthread_rwlock_unlock(&ring->mutex);
}

static const struct key *find(const struct keyring *ring, const char *name)
{
    for (size_t i = 0; i < ring->count; i++) {
        if (strcmp(ring->keys[i].name, name) == 0) {
            return &ring->keys[i];
        }
    }
    return NULL;
}

enum keyd_status keyring_sign(struct keyring *ring, const char *name, const unsigned char *message,
                              size_t size, unsigned char signature[KEYD_SIGNATURE_SIZE])
{
    enum keyd_status status = KEYD_OK;

    (void)pthread_rwlock_rdlock(&ring->mutex);
    const struct key *key = find(ring, name);
    if (key == NULL) {
        status = KEYD_NO_SUCH_KEY;
    } else if (ring->zeroized) {
        status = KEYD_ZEROIZED;
    } else {
        const int error = key_sign(key, message, size, signature);
        status = error == 0 ? KEYD_OK : error == -ENODATA ? KEYD_ZEROIZED : KEYD_FAILED;
    }
    (void)pthread_rwlock_unlock(&ring->mutex);
    return status;
}

size_t keyring_list(struct keyring *ring, unsigned char *list)
{
    size_t size = 0;

    (void)pthread_rwlock_rdlock(&ring->mutex);
    for (size_t i = 0; i < ring->count; i++) {
        const struct key *key = &ring->keys[i];
        const size_t length = strlen(key->name);
        list[size++] = (unsigned char)length;
        memcpy(list + size, key->name, length);
        size += length;
        memcpy(list + size, key->public_key, KEYD_PUBLIC_KEY_SIZE);
        size += KEYD_PUBLIC_KEY_SIZE;
    }
    (void)pthread_rwlock_unlock(&ring->mutex);
    return size;
}

size_t keyring_count(struct keyring *ring)
{
    (void)pthread_rwlock_rdlock(&ring->mutex);
    const size_t count = ring->count;
    (void)pthread_rwlock_unlock(&ring->mutex);
    return count;
}

void keyring_close(struct keyring *ring)
{
    struct set old = {ring->keys, ring->count};

    set_free(&old);
    (void)pthread_rwlock_destroy(&ring->mutex);
    *ring = (struct keyring){.keys = NULL};
}
