/* SPDX-License-Identifier: ISC */
/* One signing key: see key.h for the rules that this file keeps. */
#include "key.h"

#include <errno.h>
#include <fcntl.h>
#include <secure_malloc.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "say.h"

enum {
    SEED_SIZE = crypto_sign_SEEDBYTES,
    SECRET_SIZE = crypto_sign_SECRETKEYBYTES,
    /* More than libsodium's deepest call here, and far less than a worker's stack. */
    STACK_TO_CLEAR = 32 * 1024
};

_Static_assert(KEYD_PUBLIC_KEY_SIZE == crypto_sign_PUBLICKEYBYTES, "the protocol's public key");
_Static_assert(KEYD_SIGNATURE_SIZE == crypto_sign_BYTES, "the protocol's signature");
_Static_assert(SECRET_SIZE == SEED_SIZE + KEYD_PUBLIC_KEY_SIZE, "secret = seed, then public key");

/*
 * The two calls that compute with a secret. Each has a frame of its own, which its caller's
 * sodium_stackzero then covers as a whole, with everything below. (The returned value is changed,
 * or the compiler would turn the call into a jump and there would be no frame.)
 */
static __attribute__((noinline)) int expand_deep(struct key *key, const unsigned char *seed)
{
    return crypto_sign_seed_keypair(key->public_key, key->secret, seed) == 0 ? 0 : -EIO;
}

static __attribute__((noinline)) int sign_deep(const struct key *key, const unsigned char *message,
                                               size_t size, unsigned char *signature)
{
    return crypto_sign_detached(signature, NULL, message, size, key->secret) == 0 ? 0 : -EIO;
}

bool key_is_name(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-_.";
    const size_t size = strnlen(name, KEYD_NAME_MAX + 1);

    return size > 0 && size <= KEYD_NAME_MAX && name[0] != '.' && strspn(name, allowed) == size;
}

/* Is this the file of a seed that nobody else could read or write? NULL, or what is wrong. */
static const char *find_fault(int file, uid_t owner)
{
    struct stat status;

    if (fstat(file, &status) != 0) {
        return strerror(errno);
    }
    if (!S_ISREG(status.st_mode)) {
        return "not a regular file";
    }
    if (status.st_uid != owner) {
        return "belongs to another user";
    }
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return "others have rights on it (mode must be 0600)";
    }
    return status.st_size == SEED_SIZE ? NULL : "not 32 bytes";
}

/* Reads the seed straight into secure memory. 0 or -errno. */
static int read_seed(int file, unsigned char *seed)
{
    size_t done = 0;

    while (done < SEED_SIZE) {
        const ssize_t got = read(file, seed + done, SEED_SIZE - done);
        if (got < 0 && errno != EINTR) {
            return -errno;
        }
        if (got == 0) {
            return -EIO;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

/* The key out of an open file. 0 or -errno; -ENOMEM also where locking is forbidden altogether. */
static int read_key(struct key *key, int file)
{
    unsigned char *seed = secure_malloc(SEED_SIZE);
    unsigned char *secret = secure_malloc(SECRET_SIZE);
    int error = -ENOMEM;

    key->secret = secret;
    if (seed != NULL && secret != NULL) {
        error = read_seed(file, seed);
        if (error == 0) {
            error = expand_deep(key, seed);
            sodium_stackzero(STACK_TO_CLEAR);
        }
    }
    secure_free(seed); /* wiped here; the caller frees the secret with the key */
    return error;
}

int key_load(struct key *key, int directory, const char *name, uid_t owner)
{
    /* NOFOLLOW: a link would let another directory's rights decide. NONBLOCK: a FIFO would hang. */
    const int file = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) {
        const int error = -errno;
        say("key %s: %s", name, error == -ELOOP ? "is a symbolic link" : strerror(-error));
        return error;
    }
    const char *fault = find_fault(file, owner);
    if (fault != NULL) {
        say("key %s: %s", name, fault);
        (void)close(file);
        return -EPERM;
    }
    *key = (struct key){.secret = NULL};
    (void)snprintf(key->name, sizeof key->name, "%s", name);
    const int error = read_key(key, file);
    (void)close(file);
    if (error != 0) {
        say("key %s: %s", name,
            error == -ENOMEM ? "no memory that can be locked: raise RLIMIT_MEMLOCK (ulimit -l)"
                             : strerror(-error));
        key_clear(key);
    }
    return error;
}

/* A new seed, from secure memory into the file and onto the disk. 0 or -errno. */
static int write_seed(int file)
{
    unsigned char *seed = secure_malloc(SEED_SIZE);
    if (seed == NULL) {
        return -ENOMEM;
    }
    randombytes_buf(seed, SEED_SIZE);
    const ssize_t written = write(file, seed, SEED_SIZE);
    int error = written == SEED_SIZE ? 0 : -EIO;
    if (written < 0 || (error == 0 && fsync(file) != 0)) {
        error = -errno;
    }
    secure_free(seed);
    return error;
}

/*
 * Fills the file under a name that is never loaded (it starts with a dot), then gives it its own
 * name: link does not replace, so a key that is there stays there. 0 or -errno.
 */
static int make_file(int directory, const char *hidden, const char *name,
                     const struct key_owner *owner)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const int file = openat(directory, hidden, flags, 0600);
    if (file < 0) {
        return -errno;
    }
    int error = write_seed(file);
    if (error == 0 && (fchmod(file, 0600) != 0 || fchown(file, owner->user, owner->group) != 0)) {
        error = -errno;
    }
    (void)close(file);
    if (error == 0 && linkat(directory, hidden, directory, name, 0) != 0) {
        error = -errno;
    }
    (void)unlinkat(directory, hidden, 0);
    if (error == 0 && fsync(directory) != 0) {
        error = -errno;
    }
    return error;
}

int key_make(int directory, const char *name, const struct key_owner *owner)
{
    char hidden[sizeof ".new." + KEYD_NAME_MAX];

    if (faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        return -EEXIST;
    }
    (void)snprintf(hidden, sizeof hidden, ".new.%s", name);
    (void)unlinkat(directory, hidden, 0); /* left by a crash; it never was a key */
    const int error = make_file(directory, hidden, name, owner);
    if (error != 0 && error != -EEXIST) {
        say("key %s: cannot make it: %s", name, strerror(-error));
    }
    return error;
}

int key_sign(const struct key *key, const unsigned char *message, size_t size,
             unsigned char signature[KEYD_SIGNATURE_SIZE])
{
    if (!secure_equal(key->secret + SEED_SIZE, key->public_key, KEYD_PUBLIC_KEY_SIZE)) {
        return -ENODATA;
    }
    const int error = sign_deep(key, message, size, signature);
    sodium_stackzero(STACK_TO_CLEAR);
    return error;
}

void key_clear(struct key *key)
{
    secure_free(key->secret);
    key->secret = NULL;
}
