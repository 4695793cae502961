/* SPDX-License-Identifier: ISC */
/* What the workloads share. */
#include "bench/bench.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 25, TRIES = 3 };

/* ---- results ---- */

void bench_say(const char *metric, double value)
{
    (void)printf("%s %.6g\n", metric, value);
}

void bench_cannot(const char *format, ...)
{
    va_list arguments;
    (void)fputs("cannot ", stdout);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    (void)putchar('\n');
    (void)fflush(stdout);
    /* Peers' destructors may take long over what is left, and are not measured. */
    _exit(EXIT_SUCCESS);
}

/* ---- what every workload does ---- */

const char *bench_errno(void)
{
    static char text[128];
    (void)snprintf(text, sizeof(text), ": %s", strerror(errno));
    return errno != 0 ? text : "";
}

void bench_out_of_memory(size_t size)
{
    bench_cannot("no memory for %zu bytes%s", size, bench_errno());
}

double bench_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

int bench_compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double time_once(bench_work *work, void *context, uint64_t count)
{
    const double before = bench_now();
    work(context, count);
    return bench_now() - before;
}

/* A stall is no work: every one of a few tries must take as long. */
static bool takes_at_least(double ns, bench_work *work, void *context, uint64_t count)
{
    for (int i = 0; i < TRIES; i++) {
        if (time_once(work, context, count) < ns) {
            return false;
        }
    }
    return true;
}

double bench_time(const struct bench *bench, bench_work *work, void *context)
{
    double times[BATCHES];
    if (bench->operations != 0) {
        work(context, bench->operations);
        return 0;
    }
    const double wanted = bench->seconds * 1e9 / BATCHES;
    uint64_t count = 1;
    double median = 0;
    do {
        while (!takes_at_least(wanted / 2, work, context, count)) {
            count *= 2;
        }
        for (size_t i = 0; i < BATCHES; i++) {
            times[i] = time_once(work, context, count) / (double)count;
        }
        qsort(times, BATCHES, sizeof(times[0]), bench_compare_doubles);
        median = times[BATCHES / 2];
        /* A stall can last for all tries: then a few steps seem enough, and with threads the time
         * is that of waking them. */
    } while (median * (double)count < wanted / 4);
    return median;
}

/* ---- which buffers are locked ---- */

/* Is this the line that begins a mapping's description? */
static int read_range(const char *line, uintptr_t range[2])
{
    unsigned long start = 0;
    unsigned long end = 0;
    if (sscanf(line, "%lx-%lx ", &start, &end) != 2) { /* NOLINT(cert-err34-c): the kernel's own */
        return 0;
    }
    range[0] = start;
    range[1] = end;
    return 1;
}

void bench_say_locked(void *const *pointers, size_t count)
{
    FILE *maps = fopen("/proc/self/smaps", "re");
    char line[512];
    uintptr_t range[2] = {0, 0};
    size_t locked = 0;
    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
        if (read_range(line, range) || strncmp(line, "VmFlags:", 8) != 0 ||
            strstr(line, " lo") == NULL) {
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            const uintptr_t at = (uintptr_t)pointers[i];
            locked += at >= range[0] && at < range[1];
        }
    }
    if (maps != NULL) {
        (void)fclose(maps);
        bench_say("locked_percent", 100.0 * (double)locked / (double)count);
    }
}

/* ---- random numbers ---- */

/* splitmix64 */
uint64_t bench_random_next(struct bench_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void bench_sizes(uint32_t sizes[BENCH_SIZES], double least, double most,
                 struct bench_random *random)
{
    for (size_t i = 0; i < BENCH_SIZES; i++) {
        const double part = (double)(bench_random_next(random) >> 11) / 9007199254740992.0;
        sizes[i] = (uint32_t)(least * pow(most / least, part));
    }
}

/* ---- the command line ---- */

bool bench_read_number(const char *text, uint64_t *value)
{
    char *end = NULL;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && *text >= '0' && *text <= '9' && *end == '\0';
}

bool bench_read_seconds(const char *text, double *value)
{
    char *end = NULL;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && *value >= 0 && *value <= 1e6;
}
