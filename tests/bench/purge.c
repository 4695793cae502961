/* SPDX-License-Identifier: ISC */
/*
 * Workload 9, bench-purge: the ways to give locked pages back to the kernel, without an allocator.
 * The pages lie within one larger locked mapping and are written to before each purge.
 *
 *   locked    madvise(MADV_DONTNEED_LOCKED)
 *   relock    munlock, madvise(MADV_DONTNEED), mlock2(MLOCK_ONFAULT)
 *   each-use  munlock and madvise(MADV_DONTNEED) at every free, mlock at every allocation
 *   batch     one process_madvise(MADV_DONTNEED_LOCKED) of as many ranges of one page
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench/bench.h"

enum { MAPPING_PAGES = 768, PAGES_MAX = 256, BESIDE_PAGES = 16, BATCHES = 25, EXIT_USAGE = 2 };

enum {
    ADVICE_DONTNEED_LOCKED = 24, /* Linux 5.18 */
    LOCK_ONFAULT = 1,            /* Linux 4.4 */
    SELF_THREAD = -10000,        /* this process, where a pidfd is asked for; Linux 6.15 or so */
    SELF_GROUP = -10001,
};

struct purge {
    const struct way *way;
    size_t page;
    struct iovec parts[PAGES_MAX]; /* one range of many pages, or many of one */
    size_t count;
    size_t size; /* of all parts */
    int pidfd;   /* for a batch */
};

struct way {
    const char *name;
    void (*lock)(const struct purge *purge); /* at each allocation; may be missing */
    void (*give_back)(const struct purge *purge);
    bool on_fault;       /* is how the mapping is locked */
    bool is_many_ranges; /* every other page */
};

/* What each cycle takes, in nanoseconds. */
struct cost {
    double purge; /* and the lock at the allocation */
    double cycle; /* that, and the first writes to the pages, which fault them in */
};

static void check(long result, const char *call)
{
    if (result < 0) {
        bench_cannot("%s: %s", call, strerror(errno));
    }
}

/* ---- the ways; system calls by number, as the C library's mlock2 hides ENOSYS ---- */

static void lock_on_fault(void *start, size_t size)
{
    check(syscall(SYS_mlock2, start, size, LOCK_ONFAULT), "mlock2");
}

static void lock_at_once(const struct purge *purge)
{
    check(syscall(SYS_mlock, purge->parts[0].iov_base, purge->size), "mlock");
}

static void discard_locked(const struct purge *purge)
{
    check(syscall(SYS_madvise, purge->parts[0].iov_base, purge->size, ADVICE_DONTNEED_LOCKED),
          "madvise(MADV_DONTNEED_LOCKED)");
}

static void unlock_and_discard(const struct purge *purge)
{
    check(syscall(SYS_munlock, purge->parts[0].iov_base, purge->size), "munlock");
    check(syscall(SYS_madvise, purge->parts[0].iov_base, purge->size, MADV_DONTNEED),
          "madvise(MADV_DONTNEED)");
}

static void unlock_discard_and_lock(const struct purge *purge)
{
    unlock_and_discard(purge);
    lock_on_fault(purge->parts[0].iov_base, purge->size);
}

static long discard_batch(const struct purge *purge, int pidfd)
{
    return syscall(SYS_process_madvise, pidfd, purge->parts, purge->count, ADVICE_DONTNEED_LOCKED,
                   0);
}

static void discard_many(const struct purge *purge)
{
    const long done = discard_batch(purge, purge->pidfd);
    check(done, "process_madvise(MADV_DONTNEED_LOCKED)");
    if ((size_t)done != purge->size) {
        bench_cannot("process_madvise did %ld of %zu bytes", done, purge->size);
    }
}

static const struct way ways[] = {
    {"locked", NULL, discard_locked, true, false},
    {"relock", NULL, unlock_discard_and_lock, true, false},
    {"each-use", lock_at_once, unlock_and_discard, false, false},
    {"batch", NULL, discard_many, true, true},
};

/* ---- setting up ---- */

static void *map_pages(size_t size)
{
    void *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(start == MAP_FAILED ? -1 : 0, "mmap");
    return start;
}

static void lay_out(struct purge *purge, size_t pages)
{
    const size_t page = purge->page;
    const size_t size = MAPPING_PAGES * page;
    char *mapping = map_pages(size);
    (void)madvise(mapping, size, MADV_NOHUGEPAGE); /* a kernel that has none refuses */
    if (purge->way->on_fault) {
        lock_on_fault(mapping, size);
    } else {
        check(syscall(SYS_mlock, mapping, size), "mlock");
    }
    const size_t step = purge->way->is_many_ranges ? 2 : 1;
    char *at = mapping + (MAPPING_PAGES - pages * step) / 2 * page;
    purge->size = pages * page;
    purge->count = purge->way->is_many_ranges ? pages : 1;
    for (size_t i = 0; i < purge->count; i++) {
        purge->parts[i] = (struct iovec){at + i * step * page, purge->size / purge->count};
    }
}

/* The first of these that the kernel takes. */
static int find_self(const struct purge *purge)
{
    static const int selves[] = {SELF_THREAD, SELF_GROUP};
    for (size_t i = 0; i < sizeof(selves) / sizeof(selves[0]); i++) {
        if (discard_batch(purge, selves[i]) >= 0) {
            return selves[i];
        }
    }
    const long pidfd = syscall(SYS_pidfd_open, getpid(), 0);
    check(pidfd, "pidfd_open");
    return (int)pidfd;
}

static void write_pages(const struct purge *purge)
{
    for (size_t i = 0; i < purge->count; i++) {
        volatile char *start = purge->parts[i].iov_base;
        for (size_t at = 0; at < purge->parts[i].iov_len; at += purge->page) {
            start[at] = 1;
        }
    }
}

/* A kernel may take a call and do nothing. */
static void check_discarded(const struct purge *purge)
{
    unsigned char resident[PAGES_MAX];
    for (size_t i = 0; i < purge->count; i++) {
        check(mincore(purge->parts[i].iov_base, purge->parts[i].iov_len, resident), "mincore");
        for (size_t at = 0; at < purge->parts[i].iov_len / purge->page; at++) {
            if ((resident[at] & 1) != 0) {
                bench_cannot("the pages are still there");
            }
        }
    }
}

static void once(const struct purge *purge)
{
    if (purge->way->lock != NULL) {
        purge->way->lock(purge);
    }
    write_pages(purge);
    purge->way->give_back(purge);
}

/* ---- a thread that changes the process's mappings all the time ---- */

static void *disturb(void *context)
{
    _Atomic bool *has_begun = context;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t size = BESIDE_PAGES * page;
    for (;;) {
        void *start = map_pages(size);
        for (size_t at = 0; at < size; at += page) {
            ((volatile char *)start)[at] = 1;
        }
        check(munmap(start, size), "munmap");
        atomic_store_explicit(has_begun, true, memory_order_release);
    }
    return NULL;
}

static void start_disturbing(void)
{
    static _Atomic bool has_begun;
    pthread_t thread;
    if (pthread_create(&thread, NULL, disturb, &has_begun) != 0) {
        bench_cannot("no second thread");
    }
    while (!atomic_load_explicit(&has_begun, memory_order_acquire)) {
        (void)sched_yield();
    }
}

/* ---- time ---- */

static double clock_ns(void)
{
    enum { READS = 1000 };
    const double before = bench_now();
    for (int i = 0; i < READS; i++) {
        (void)bench_now();
    }
    return (bench_now() - before) / READS;
}

/* As many cycles as fit. */
static struct cost time_batch(const struct purge *purge, double wanted, double clock)
{
    struct cost sum = {0, 0};
    double count = 0;
    double now = bench_now();
    const double end = now + wanted;
    do {
        const double start = bench_now();
        double locked = start;
        if (purge->way->lock != NULL) {
            purge->way->lock(purge);
            locked = bench_now();
            sum.purge -= clock;
            sum.cycle -= clock;
        }
        write_pages(purge);
        const double written = bench_now();
        purge->way->give_back(purge);
        now = bench_now();
        sum.purge += locked - start + (now - written) - clock;
        sum.cycle += now - start - 2 * clock;
        count++;
    } while (now < end);
    return (struct cost){sum.purge / count, sum.cycle / count};
}

static void time_all(const struct purge *purge, double seconds)
{
    double purges[BATCHES];
    double cycles[BATCHES];
    const double clock = clock_ns();
    for (size_t i = 0; i < BATCHES; i++) {
        const struct cost cost = time_batch(purge, seconds * 1e9 / BATCHES, clock);
        purges[i] = cost.purge;
        cycles[i] = cost.cycle;
    }
    qsort(purges, BATCHES, sizeof(purges[0]), bench_compare_doubles);
    qsort(cycles, BATCHES, sizeof(cycles[0]), bench_compare_doubles);
    bench_say("ns", purges[BATCHES / 2]);
    bench_say("page_ns", purges[BATCHES / 2] * (double)purge->page / (double)purge->size);
    bench_say("cycle_ns", cycles[BATCHES / 2]);
}

/* ---- the command line ---- */

static BENCH_NORETURN void usage(void)
{
    (void)fputs("usage: bench-purge [-s seconds | -n purges] WAY PAGES alone|beside\n"
                "  WAY is locked, relock, each-use or batch; PAGES 1 to 256. With -n nothing is\n"
                "  printed: for perf.\n",
                stderr);
    exit(EXIT_USAGE);
}

static const struct way *find_way(const char *name)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (strcmp(ways[i].name, name) == 0) {
            return &ways[i];
        }
    }
    usage();
}

static void run(struct purge *purge, char **words, double seconds, uint64_t purges)
{
    uint64_t pages = 0;
    const bool is_beside = strcmp(words[2], "beside") == 0;
    if (!bench_read_number(words[1], &pages) || pages < 1 || pages > PAGES_MAX ||
        (!is_beside && strcmp(words[2], "alone") != 0)) {
        usage();
    }
    purge->way = find_way(words[0]);
    purge->page = (size_t)sysconf(_SC_PAGESIZE);
    lay_out(purge, pages);
    purge->pidfd = purge->way->is_many_ranges ? find_self(purge) : -1;
    once(purge);
    check_discarded(purge);
    if (is_beside) {
        start_disturbing();
    }
    for (uint64_t i = 0; i < purges; i++) {
        once(purge);
    }
    if (purges == 0) {
        time_all(purge, seconds);
    }
}

int main(int argc, char **argv)
{
    static struct purge purge;
    double seconds = 0.25;
    uint64_t purges = 0;
    for (int option = getopt(argc, argv, "+s:n:"); option != -1;
         option = getopt(argc, argv, "+s:n:")) {
        if (!(option == 's' && bench_read_seconds(optarg, &seconds)) &&
            !(option == 'n' && bench_read_number(optarg, &purges))) {
            usage();
        }
    }
    if (argc - optind != 3) {
        usage();
    }
    run(&purge, argv + optind, seconds, purges);
    (void)fflush(stdout);
    _exit(EXIT_SUCCESS); /* the second thread never ends */
}
