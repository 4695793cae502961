/* SPDX-License-Identifier: ISC */
/* The scanner's own test: see scan_self.h. */
#include "scan_self.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scan.h"
#include "verdict.h"

/* The child: reads each copy straight to its place, so that there is no third one. */
static _Noreturn void hold(int seeds, int ready)
{
    const size_t size = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *locked =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *heap = malloc(size);

    const bool is_held = locked != MAP_FAILED && heap != NULL && mlock(locked, size) == 0 &&
                         madvise(locked, size, MADV_DONTDUMP) == 0 &&
                         read(seeds, locked + 100, SCAN_SEED_SIZE) == SCAN_SEED_SIZE &&
                         read(seeds, heap + 100, SCAN_SEED_SIZE) == SCAN_SEED_SIZE;
    const char answer = is_held ? 'Y' : 'N';
    (void)!write(ready, &answer, 1);
    for (;;) {
        (void)pause();
    }
}

/* Only after the fork does the seed exist, so the child inherits no copy. */
static bool give_seed(int seeds, int ready, struct scan_secret *secret)
{
    unsigned char seed[SCAN_SEED_SIZE];
    char answer = 'N';

    randombytes_buf(seed, sizeof seed);
    for (int copy = 0; copy < 2; copy++) {
        (void)!write(seeds, seed, sizeof seed);
    }
    scan_learn(secret, seed);
    sodium_memzero(seed, sizeof seed);
    return read(ready, &answer, 1) == 1 && answer == 'Y';
}

void scan_self_test(void)
{
    struct scan_secret secret;
    struct scan_target target;
    struct scan_hits hits = {0, 0, 0, 0, 0};
    int seeds[2];
    int ready[2];

    if (pipe(seeds) != 0 || pipe(ready) != 0) {
        verdict_fail("scanner", "no pipe");
    }
    const pid_t child = fork();
    if (child == 0) {
        hold(seeds[0], ready[1]);
    }
    if (child < 0) {
        verdict_fail("scanner", "no child");
    }
    const bool is_held = give_seed(seeds[1], ready[0], &secret);
    const int opened = scan_open(&target, child);
    int error = opened;
    if (opened == 0) {
        error = scan_memory(&target, &secret, &hits);
        scan_close(&target);
    }
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    for (int i = 0; i < 2; i++) {
        (void)close(seeds[i]);
        (void)close(ready[i]);
    }
    if (opened == -EACCES || opened == -EPERM) {
        verdict_skip("the memory of a child cannot be read here (/proc/PID/mem)");
    }
    if (!is_held) {
        verdict_skip("not one page can be locked: RLIMIT_MEMLOCK is 0");
    }
    if (error != 0 || hits.secure != secret.plain || hits.outside != secret.plain) {
        verdict_fail("scanner", "it does not find one copy in locked memory and one in the heap");
    }
}
