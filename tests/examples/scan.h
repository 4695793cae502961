/* SPDX-License-Identifier: ISC */
/*
 * Looks for secrets in the whole memory of another process, through /proc/PID/mem. What it looks
 * for is kept masked, so that the scanner, or a child that it forks, never holds a hit of its own.
 */
#ifndef TESTS_EXAMPLES_SCAN_H
#define TESTS_EXAMPLES_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SCAN_NEEDLE_SIZE = 16, SCAN_NEEDLES_MAX = 16, SCAN_SEED_SIZE = 32 };

/*
 * A secret in the forms in which it could be lying around, in pieces, so that a part of a copy is
 * found too. The first `plain` needles are its own bytes. The others are what Ed25519 makes of it,
 * each as good as the seed: SHA-512's byte-swapped words, and the expanded key, plain and clamped.
 */
struct scan_secret {
    unsigned char masked[SCAN_NEEDLES_MAX][SCAN_NEEDLE_SIZE];
    size_t plain;
    size_t count;
};

/* Where the secret was seen. Secure: in a mapping that is locked (lo) and in no core file (dd). */
struct scan_hits {
    uint64_t secure;         /* plain, in secure mappings */
    uint64_t outside;        /* in any form, anywhere else */
    uint64_t derived_secure; /* in another form, in secure mappings */
    uint64_t bytes;          /* that were read */
    uint64_t mappings;
};

/* A process that can be read: descriptors stay good when it forbids ptrace later. */
struct scan_target {
    int memory;
    int smaps;
};

/* Makes the needles of an Ed25519 seed, and wipes everything else that it computes. */
void scan_learn(struct scan_secret *secret, const unsigned char seed[SCAN_SEED_SIZE]);

/* 0 or -errno. */
int scan_open(struct scan_target *target, pid_t pid);
void scan_close(struct scan_target *target);

/* Reads every resident or swapped page. 0 or -errno. */
int scan_memory(const struct scan_target *target, const struct scan_secret *secret,
                struct scan_hits *hits);

#endif
