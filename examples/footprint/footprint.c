/* SPDX-License-Identifier: ISC */
/*
 * footprint: what a burst of secrets costs, and what comes back. Allocates many small buffers,
 * writes to them, frees them in the order in which they came, and shows what the kernel says
 * before, at the peak and after.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <secure_malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../support/figures.h"

enum { EXIT_USAGE = 2, KIB = 1024, BAR_WIDTH = 46, PATTERN = 0xa5 };

enum stage { BEFORE, PEAK, FREED, TRIMMED, STAGES };

static const char *const stage_names[STAGES] = {"before", "at peak", "freed", "trimmed"};

struct sight {
    struct figures figures;
    struct secure_stats stats;
};

struct burst {
    void **buffers;
    size_t count; /* asked for; then what could be had */
    size_t size;
};

static const char help[] =
    "Usage: footprint [--count N] [--size BYTES]\n"
    "Allocates N secret buffers (100000) of BYTES bytes (64), writes to them, frees them, and "
    "shows\n"
    "resident and locked memory, mappings and purges: before, at the peak, after the last free "
    "(no\n"
    "call but free was made), and after secure_trim. If the limit on locked memory does not allow\n"
    "N buffers, it takes as many as there can be, and says so.\n"
    "\n"
    "Exit status: 0 done; 1 the system refused something; 2 usage.\n";

static int fail(const char *what, int error)
{
    (void)fprintf(stderr, "footprint: %s: %s\n", what, strerror(error));
    return EXIT_FAILURE;
}

static int look(struct sight *sight)
{
    sight->stats = (struct secure_stats)SECURE_STATS_INIT;
    const int error = figures_read(&sight->figures);
    if (error != 0) {
        return error;
    }
    return secure_stats(&sight->stats) == 0 ? 0 : -errno;
}

/* A process may raise its own limit up to the hard one. That it cannot is no error. */
static void raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_MEMLOCK, &limit);
    }
}

static void say_scaled_down(size_t wanted, size_t count)
{
    struct rlimit limit = {0, 0};

    (void)getrlimit(RLIMIT_MEMLOCK, &limit);
    (void)printf("scaled down: the lock limit (ulimit -l) of %" PRIu64 " KiB allows %zu of %zu\n",
                 (uint64_t)limit.rlim_cur / KIB, count, wanted);
}

/* Fills the burst. 0, or errno if not one buffer could be had. */
static int allocate(struct burst *burst)
{
    const size_t wanted = burst->count;

    burst->count = 0;
    while (burst->count < wanted) {
        void *buffer = secure_malloc(burst->size);
        if (buffer == NULL) {
            break;
        }
        memset(buffer, PATTERN, burst->size);
        burst->buffers[burst->count++] = buffer;
    }
    if (burst->count == 0) {
        return errno;
    }
    if (burst->count < wanted) {
        say_scaled_down(wanted, burst->count);
    }
    return 0;
}

static void release(const struct burst *burst)
{
    for (size_t i = 0; i < burst->count; i++) {
        secure_free(burst->buffers[i]);
    }
}

static void print_table(const struct sight sights[STAGES])
{
    (void)printf("\n%-10s %12s %12s %8s %8s %14s\n", "", "RSS KiB", "VmLck KiB", "VMAs", "purges",
                 "given back KiB");
    for (int stage = 0; stage < STAGES; stage++) {
        const struct sight *sight = &sights[stage];
        (void)printf("%-10s %12" PRIu64 " %12" PRIu64 " %8" PRIu64 " %8" PRIu64 " %14" PRIu64 "\n",
                     stage_names[stage], sight->figures.resident / KIB, sight->figures.locked / KIB,
                     sight->figures.mappings, sight->stats.purges, sight->stats.purged_bytes / KIB);
    }
}

static void print_bars(const char *title, const uint64_t values[STAGES])
{
    uint64_t most = 1;

    for (int stage = 0; stage < STAGES; stage++) {
        most = values[stage] > most ? values[stage] : most;
    }
    (void)printf("\n%s\n", title);
    for (int stage = 0; stage < STAGES; stage++) {
        const int length = (int)((values[stage] * BAR_WIDTH + most / 2) / most);
        char bar[BAR_WIDTH + 1];
        memset(bar, '#', sizeof bar);
        bar[length] = '\0';
        (void)printf("%-10s |%-*s| %" PRIu64 "\n", stage_names[stage], BAR_WIDTH, bar,
                     values[stage]);
    }
}

static void print_all_bars(const struct sight sights[STAGES])
{
    uint64_t resident[STAGES];
    uint64_t locked[STAGES];
    uint64_t mappings[STAGES];
    uint64_t purges[STAGES];

    for (int stage = 0; stage < STAGES; stage++) {
        resident[stage] = sights[stage].figures.resident / KIB;
        locked[stage] = sights[stage].figures.locked / KIB;
        mappings[stage] = sights[stage].figures.mappings;
        purges[stage] = sights[stage].stats.purges;
    }
    print_bars("RSS, KiB", resident);
    print_bars("VmLck, KiB", locked);
    print_bars("VMAs", mappings);
    print_bars("purges so far", purges);
}

/* How much of the growth in RSS was given back, without a call that asked for it. */
static void print_verdict(const struct sight sights[STAGES])
{
    const double before = (double)sights[BEFORE].figures.resident;
    const double peak = (double)sights[PEAK].figures.resident;
    const double freed = (double)sights[FREED].figures.resident;

    if (sights[FREED].stats.purges == sights[PEAK].stats.purges) {
        (void)printf("\nso little is kept for the next burst, until somebody asks for it\n");
    } else {
        (void)printf("\n%.1f %% of the growth in RSS came back by free alone\n",
                     100.0 * (peak - freed) / (peak - before));
    }
}

static int run(struct burst *burst)
{
    struct sight sights[STAGES];

    /* What the library needs but once is not the burst's. */
    secure_free(secure_malloc(burst->size));
    (void)secure_trim();
    int error = -look(&sights[BEFORE]);
    if (error != 0) {
        return fail("/proc/self", error);
    }
    error = allocate(burst);
    if (error != 0) {
        return fail("not one buffer can be locked", error);
    }
    error = -look(&sights[PEAK]);
    release(burst);
    if (error == 0) {
        error = -look(&sights[FREED]);
    }
    (void)secure_trim();
    if (error == 0) {
        error = -look(&sights[TRIMMED]);
    }
    if (error != 0) {
        return fail("/proc/self", error);
    }
    (void)printf("%zu buffers of %zu bytes\n", burst->count, burst->size);
    print_table(sights);
    print_all_bars(sights);
    print_verdict(sights);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : fail("stdout", errno);
}

static size_t number(const char *text, const char *option)
{
    char *end = NULL;

    errno = 0;
    const unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9' || value == 0) {
        (void)fprintf(stderr, "footprint: %s: not a number above 0: %s\n", option, text);
        exit(EXIT_USAGE);
    }
    return value;
}

static void parse(struct burst *burst, int count, char **words)
{
    static const struct option table[] = {
        {"count", required_argument, NULL, 'c'},
        {"size", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int letter = 0;

    while ((letter = getopt_long(count, words, "", table, NULL)) != -1) {
        if (letter == 'c') {
            burst->count = number(optarg, "--count");
        } else if (letter == 's') {
            burst->size = number(optarg, "--size");
        } else if (letter == 'h') {
            (void)fputs(help, stdout);
            exit(EXIT_SUCCESS);
        } else {
            exit(EXIT_USAGE); /* getopt_long has said why */
        }
    }
    if (optind < count) {
        (void)fprintf(stderr, "footprint: what is this: %s\n", words[optind]);
        exit(EXIT_USAGE);
    }
}

int main(int count, char **words)
{
    static char output[4 * KIB];
    struct burst burst = {NULL, 100000, 64};

    parse(&burst, count, words);
    raise_limit();
    /* What is not the burst's must be resident before the first look. */
    (void)setvbuf(stdout, output, _IOFBF, sizeof output);
    memset(output, 0, sizeof output);
    burst.buffers = calloc(burst.count, sizeof *burst.buffers);
    if (burst.buffers == NULL) {
        return fail("memory", ENOMEM);
    }
    for (size_t i = 0; i < burst.count; i++) {
        burst.buffers[i] = &burst;
    }
    const int status = run(&burst);
    free(burst.buffers);
    return status;
}
