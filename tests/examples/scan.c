/* SPDX-License-Identifier: ISC */
/* Looks for secrets in another process's memory: see scan.h. */
#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MASK = 0x5a,
    CHUNK = 1024 * 1024,
    SMAPS_STEP = 256 * 1024,
    STACK_TO_CLEAR = 64 * 1024,
    DIGITS = 64
};

struct mapping {
    uint64_t start;
    uint64_t end;
    uint64_t present; /* resident or swapped: a page that is neither holds nothing */
    bool is_locked;
    bool is_kept_from_cores;
};

static void add_needle(struct scan_secret *secret, const unsigned char *bytes)
{
    for (size_t i = 0; i < SCAN_NEEDLE_SIZE; i++) {
        secret->masked[secret->count][i] = bytes[i] ^ MASK;
    }
    secret->count++;
}

static void add_pieces(struct scan_secret *secret, const unsigned char *bytes, size_t size)
{
    for (size_t at = 0; at < size; at += SCAN_NEEDLE_SIZE) {
        add_needle(secret, bytes + at);
    }
}

void scan_learn(struct scan_secret *secret, const unsigned char seed[SCAN_SEED_SIZE])
{
    unsigned char swapped[SCAN_SEED_SIZE];
    unsigned char expanded[crypto_hash_sha512_BYTES];

    *secret = (struct scan_secret){.count = 0};
    add_pieces(secret, seed, SCAN_SEED_SIZE);
    secret->plain = secret->count;
    for (size_t i = 0; i < SCAN_SEED_SIZE; i++) {
        swapped[i] = seed[(i & ~(size_t)7) + (7 - (i & 7))];
    }
    add_pieces(secret, swapped, sizeof swapped);
    (void)crypto_hash_sha512(expanded, seed, SCAN_SEED_SIZE);
    add_pieces(secret, expanded, sizeof expanded);
    expanded[0] &= 248;
    expanded[31] = (unsigned char)((expanded[31] & 127) | 64);
    add_pieces(secret, expanded, SCAN_SEED_SIZE);
    sodium_memzero(swapped, sizeof swapped);
    sodium_memzero(expanded, sizeof expanded);
    sodium_stackzero(STACK_TO_CLEAR);
}

int scan_open(struct scan_target *target, pid_t pid)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%ld/mem", (long)pid);
    target->memory = open(path, O_RDONLY | O_CLOEXEC);
    if (target->memory < 0) {
        return -errno;
    }
    (void)snprintf(path, sizeof path, "/proc/%ld/smaps", (long)pid);
    target->smaps = open(path, O_RDONLY | O_CLOEXEC);
    if (target->smaps < 0) {
        const int error = -errno;
        (void)close(target->memory);
        return error;
    }
    return 0;
}

void scan_close(struct scan_target *target)
{
    (void)close(target->memory);
    (void)close(target->smaps);
}

static bool is_at(const unsigned char *bytes, const unsigned char masked[SCAN_NEEDLE_SIZE])
{
    for (size_t i = 0; i < SCAN_NEEDLE_SIZE; i++) {
        if ((bytes[i] ^ MASK) != masked[i]) {
            return false;
        }
    }
    return true;
}

/* How often the needle lies in these bytes. */
static uint64_t count_needle(const unsigned char *bytes, size_t size,
                             const unsigned char masked[SCAN_NEEDLE_SIZE])
{
    const unsigned char *at = bytes;
    const unsigned char *end = bytes + size;
    uint64_t count = 0;

    while ((size_t)(end - at) >= SCAN_NEEDLE_SIZE) {
        at = memchr(at, masked[0] ^ MASK, (size_t)(end - at) - SCAN_NEEDLE_SIZE + 1);
        if (at == NULL) {
            break;
        }
        count += is_at(at, masked);
        at++;
    }
    return count;
}

static void count_secret(struct scan_hits *hits, const unsigned char *bytes, size_t size,
                         const struct scan_secret *secret, bool is_secure)
{
    for (size_t i = 0; i < secret->count; i++) {
        const uint64_t count = count_needle(bytes, size, secret->masked[i]);
        if (!is_secure) {
            hits->outside += count;
        } else if (i < secret->plain) {
            hits->secure += count;
        } else {
            hits->derived_secure += count;
        }
    }
}

/*
 * Reads one mapping in chunks that overlap by a needle less one byte. Pages that cannot be read
 * (guards) are stepped over.
 */
static void scan_mapping(int memory, const struct mapping *mapping,
                         const struct scan_secret *secret, struct scan_hits *hits)
{
    static unsigned char chunk[CHUNK + SCAN_NEEDLE_SIZE];
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    const bool is_secure = mapping->is_locked && mapping->is_kept_from_cores;
    size_t held = 0; /* the end of the chunk before */

    for (uint64_t at = mapping->start; at < mapping->end;) {
        const uint64_t left = mapping->end - at;
        const ssize_t got =
            pread(memory, chunk + held, left < CHUNK ? (size_t)left : CHUNK, (off_t)at);
        if (got <= 0) {
            at += page;
            held = 0;
            continue;
        }
        const size_t size = held + (size_t)got;
        count_secret(hits, chunk, size, secret, is_secure);
        hits->bytes += (uint64_t)got;
        at += (uint64_t)got;
        held = size < SCAN_NEEDLE_SIZE - 1 ? size : SCAN_NEEDLE_SIZE - 1;
        memmove(chunk, chunk + size - held, held);
    }
    sodium_memzero(chunk, sizeof chunk);
}

/* The whole of smaps as a string, to be freed; NULL and errno. */
static char *read_smaps(int smaps)
{
    size_t size = 0;
    ssize_t got = 0;
    char *text = NULL;

    do {
        char *grown = realloc(text, size + SMAPS_STEP + 1);
        if (grown == NULL) {
            free(text);
            return NULL;
        }
        text = grown;
        got = pread(smaps, text + size, SMAPS_STEP, (off_t)size);
        size += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    text[size] = '\0';
    if (got < 0 || size == 0) {
        free(text);
        errno = got < 0 ? errno : ESRCH;
        return NULL;
    }
    return text;
}

/* Takes one line of smaps. True when it was a mapping's last. */
static bool take_line(struct mapping *mapping, const char *line)
{
    char *rest = NULL;
    const uint64_t start = strtoull(line, &rest, 16);

    if (rest != line && *rest == '-') {
        *mapping = (struct mapping){.start = start, .end = strtoull(rest + 1, NULL, 16)};
    } else if (strncmp(line, "Rss:", 4) == 0) {
        mapping->present += strtoull(line + 4, NULL, 10);
    } else if (strncmp(line, "Swap:", 5) == 0) {
        mapping->present += strtoull(line + 5, NULL, 10);
    } else if (strncmp(line, "VmFlags:", 8) == 0) {
        mapping->is_locked = strstr(line, " lo") != NULL;
        mapping->is_kept_from_cores = strstr(line, " dd") != NULL;
        return true;
    }
    return false;
}

int scan_memory(const struct scan_target *target, const struct scan_secret *secret,
                struct scan_hits *hits)
{
    struct mapping mapping = {0, 0, 0, false, false};
    char *rest = NULL;

    *hits = (struct scan_hits){0, 0, 0, 0, 0};
    char *text = read_smaps(target->smaps);
    if (text == NULL) {
        return -errno;
    }
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (take_line(&mapping, line) && mapping.present > 0) {
            scan_mapping(target->memory, &mapping, secret, hits);
            hits->mappings++;
        }
    }
    free(text);
    return 0;
}
