/* SPDX-License-Identifier: ISC */
#include "api/churn.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <secure_malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "api/child.h"

enum { HELD = 48, SHARED = 32 };

static atomic_bool is_over;
static bool may_be_zero;
static atomic_size_t count;
static atomic_size_t begun;
static pthread_t threads[CHURN_THREADS_MAX];
static size_t threads_count;

/* Buffers on their way from one thread to another. */
static _Atomic(unsigned char *) shared[SHARED];

static uint32_t next(uint32_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 17;
    *random ^= *random << 5;
    return *random;
}

static void check(const unsigned char *buffer)
{
    const size_t size = secure_usable_size(buffer);
    const unsigned char byte = (unsigned char)(size % 255 + 1);
    for (size_t i = 0; i < size; i++) {
        CHECK(buffer[i] == byte || (may_be_zero && buffer[i] == 0));
    }
}

/* Under a small limit there may be no room: that is no mix-up. */
static unsigned char *take(uint32_t *random)
{
    const uint32_t dice = next(random) % 1000;
    size_t size = next(random) % 200;
    if (dice < 100) {
        size = next(random) % 5000;
    } else if (dice < 105) {
        size = next(random) % 60000;
    }
    unsigned char *buffer = dice == 999 ? secure_malloc_guarded(size) : secure_malloc(size);
    if (buffer == NULL) {
        CHECK(errno == ENOMEM);
        return NULL;
    }
    for (size_t i = 0; i < size; i++) {
        CHECK(buffer[i] == 0);
    }
    memset(buffer, (int)(size % 255 + 1), size);
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    return buffer;
}

static unsigned char *resize(unsigned char *buffer, uint32_t *random)
{
    const size_t size = secure_usable_size(buffer) + next(random) % 64;
    unsigned char *moved = secure_realloc(buffer, size);
    if (moved == NULL) {
        CHECK(errno == ENOMEM);
        return buffer;
    }
    memset(moved, (int)(size % 255 + 1), size);
    return moved;
}

static void give(unsigned char *buffer)
{
    if (buffer != NULL) {
        check(buffer);
        secure_free(buffer);
    }
}

static void *run(void *context)
{
    unsigned char *held[HELD] = {NULL};
    uint32_t random = (uint32_t)(uintptr_t)context * 2654435761U + 1;
    held[0] = take(&random);
    atomic_fetch_add(&begun, 1);
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        unsigned char **one = &held[next(&random) % HELD];
        switch (*one == NULL ? 0 : next(&random) % 4) {
        case 0:
            give(*one);
            *one = take(&random);
            break;
        case 1:
            *one = resize(*one, &random);
            break;
        case 2:
            *one = atomic_exchange(&shared[next(&random) % SHARED], *one);
            break;
        default:
            give(*one);
            *one = NULL;
            break;
        }
    }
    for (size_t i = 0; i < HELD; i++) {
        give(held[i]);
    }
    return NULL;
}

void churn_start(size_t wanted, bool zeroized)
{
    CHECK(wanted <= CHURN_THREADS_MAX);
    atomic_store(&is_over, false);
    atomic_store(&count, 0);
    atomic_store(&begun, 0);
    may_be_zero = zeroized;
    threads_count = wanted;
    for (size_t i = 0; i < wanted; i++) {
        CHECK(pthread_create(&threads[i], NULL, run, (void *)(uintptr_t)(i + 1)) == 0);
    }
    while (atomic_load(&begun) < wanted) {
        sched_yield();
    }
}

size_t churn_stop(void)
{
    atomic_store(&is_over, true);
    for (size_t i = 0; i < threads_count; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    for (size_t i = 0; i < SHARED; i++) {
        give(atomic_exchange(&shared[i], NULL));
    }
    return atomic_load(&count);
}
