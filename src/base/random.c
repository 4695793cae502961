/* SPDX-License-Identifier: ISC */
#include "base/random.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CHUNK_SIZE = 64 }; /* up to 256 bytes getrandom gives all or nothing, without EINTR */

static uint64_t rotate(uint64_t word, unsigned by)
{
    return word << by | word >> (64 - by);
}

/* Not getrandom(): that is a cancellation point. */
static bool fill_from_kernel(unsigned char *chunk)
{
    int saved = errno;
    long got = syscall(SYS_getrandom, chunk, (size_t)CHUNK_SIZE, GRND_NONBLOCK);
    errno = saved;
    return got == CHUNK_SIZE;
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

/* SipHash-2-4 of three words. A keyed function, because glibc makes its stack protector from the
 * same bytes: a canary of ours that leaks must not tell what they are. */
static uint64_t sip_hash(const uint64_t key[2], const uint64_t message[3])
{
    uint64_t v[4] = {
        key[0] ^ UINT64_C(0x736f6d6570736575),
        key[1] ^ UINT64_C(0x646f72616e646f6d),
        key[0] ^ UINT64_C(0x6c7967656e657261),
        key[1] ^ UINT64_C(0x7465646279746573),
    };
    const uint64_t blocks[4] = {message[0], message[1], message[2], UINT64_C(24) << 56};
    for (size_t i = 0; i < 4; i++) {
        v[3] ^= blocks[i];
        sip_round(v);
        sip_round(v);
        v[0] ^= blocks[i];
    }
    v[2] ^= 0xff;
    for (size_t i = 0; i < 4; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Early boot, or a sandbox without getrandom. The addresses differ in each process where they are
 * randomised, the count in each call. */
static void fill_from_start(unsigned char *chunk)
{
    static _Atomic uint64_t calls;
    uint64_t key[2] = {0, 0};
    const void *given = (const void *)getauxval(AT_RANDOM);
    if (given != NULL) {
        memcpy(key, given, sizeof(key));
    }
    for (size_t at = 0; at < CHUNK_SIZE; at += sizeof(uint64_t)) {
        uint64_t count = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
        const uint64_t message[3] = {count, (uintptr_t)chunk, (uintptr_t)&calls};
        uint64_t word = sip_hash(key, message);
        memcpy(chunk + at, &word, sizeof(word));
    }
    explicit_bzero(key, sizeof(key));
}

void random_fill(void *start, size_t size)
{
    unsigned char chunk[CHUNK_SIZE] = {0};
    unsigned char *at = start;
    while (size > 0) {
        if (!fill_from_kernel(chunk)) {
            fill_from_start(chunk);
        }
        size_t part = size < sizeof(chunk) ? size : sizeof(chunk);
        memcpy(at, chunk, part);
        at += part;
        size -= part;
    }
    explicit_bzero(chunk, sizeof(chunk));
}

void random_seed(struct random *random)
{
    random_fill(random->state, sizeof(random->state));
    random->state[0] |= 1; /* all zero is the one state that never leaves itself */
}

uint64_t random_next(struct random *random)
{
    uint64_t *s = random->state;
    const uint64_t result = rotate(s[0] + s[3], 23) + s[0];
    const uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}
