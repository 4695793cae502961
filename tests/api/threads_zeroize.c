/* SPDX-License-Identifier: ISC */
/* secure_zeroize from a signal handler, while four threads allocate and free. */
#include <errno.h>
#include <sched.h>
#include <secure_malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "api/child.h"
#include "api/churn.h"
#include "api/secret.h"
#include "api/threads.h"
#include "api/well.h"

enum { SECONDS = 10, LONG_LIVED = 50 };

static char *long_lived[LONG_LIVED];
static atomic_size_t zeroized;

static void zeroize(int signal)
{
    (void)signal;
    const int saved = errno;
    secure_zeroize();
    atomic_fetch_add(&zeroized, 1);
    errno = saved;
}

static void sleep_ms(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0) {
        CHECK(errno == EINTR);
    }
}

static time_t now(void)
{
    struct timespec time;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    return time.tv_sec;
}

static void fill_long_lived(void)
{
    for (int i = 0; i < LONG_LIVED; i++) {
        secret_write(long_lived[i]);
    }
}

/* Whichever thread the signal lands in is in the middle of something. What nobody writes meanwhile
 * must be gone when the handler is through. */
static void zeroize_and_look(void)
{
    const size_t before = atomic_load(&zeroized);
    fill_long_lived();
    CHECK(kill(getpid(), SIGUSR1) == 0);
    while (atomic_load(&zeroized) == before) {
        sched_yield();
    }
    for (int i = 0; i < LONG_LIVED; i++) {
        for (int j = 0; j < SECRET_SIZE; j++) {
            CHECK(long_lived[i][j] == 0);
        }
    }
}

void threads_zeroize_from_a_handler(void *context)
{
    struct sigaction action = {.sa_handler = zeroize, .sa_flags = SA_RESTART};
    (void)context;
    child_needs_to_lock(7168);
    secret_make();
    for (int i = 0; i < LONG_LIVED; i++) {
        long_lived[i] = i % 10 == 0 ? secure_malloc_guarded(SECRET_SIZE)
                                    : secure_malloc(i % 10 == 1 ? 20000 : SECRET_SIZE);
        CHECK(long_lived[i] != NULL);
    }
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    churn_start(4, true);
    const time_t end = now() + SECONDS;
    while (now() <= end) {
        zeroize_and_look();
        sleep_ms(1);
    }
    CHECK(churn_stop() > 0);
    CHECK(atomic_load(&zeroized) >= 100);
    zeroize_and_look();
    CHECK_EQUAL(secret_count(), 0);
    for (int i = 0; i < LONG_LIVED; i++) {
        secure_free(long_lived[i]);
    }
    check_well();
    CHECK_EQUAL(stats_now().live_count, 0);
}
