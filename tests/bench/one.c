/* SPDX-License-Identifier: ISC */
/* bench-one: one workload, one allocator. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"

enum { EXIT_USAGE = 2 };

static BENCH_NORETURN void usage(void)
{
    (void)fputs(
        "usage: bench-one [-s SECONDS | -n OPERATIONS] ALLOCATOR WORKLOAD [NUMBER...]\n"
        "  ALLOCATOR: the path of a shared object, as ./bench-plain.so\n"
        "  WORKLOAD: pairs SIZE LIVE | replace THREADS | latency | handoff | burst |\n"
        "            keys COUNT | phases\n"
        "  -s: how long it measures, 0.25 if not given; -n: how much it does, untimed, for\n"
        "      tools that count\n",
        stderr);
    exit(EXIT_USAGE);
}

static uint64_t number(const char *text)
{
    uint64_t value = 0;
    if (!bench_read_number(text, &value)) {
        usage();
    }
    return value;
}

static void load(struct bench *bench, const char *path)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (object != NULL) {
        bench->allocator = dlsym(object, "bench_allocator");
    }
    if (bench->allocator == NULL) {
        (void)fprintf(stderr, "bench-one: %s\n", dlerror());
        exit(EXIT_USAGE);
    }
    const char *reason = bench->allocator->start != NULL ? bench->allocator->start() : NULL;
    if (reason != NULL) {
        bench_cannot("%s", reason);
    }
}

/* words: the workload's name and its numbers, `count` in all. */
static void run(const struct bench *bench, char **words, int count)
{
    const uint64_t first = count > 1 ? number(words[1]) : 0;
    const uint64_t second = count > 2 ? number(words[2]) : 0;
    if (count == 3 && strcmp(words[0], "pairs") == 0) {
        bench_pairs(bench, first, second);
    } else if (count == 2 && strcmp(words[0], "replace") == 0) {
        bench_replace(bench, first);
    } else if (count == 2 && strcmp(words[0], "keys") == 0) {
        bench_keys(bench, first);
    } else if (count == 1 && strcmp(words[0], "latency") == 0) {
        bench_latency(bench);
    } else if (count == 1 && strcmp(words[0], "handoff") == 0) {
        bench_handoff(bench);
    } else if (count == 1 && strcmp(words[0], "burst") == 0) {
        bench_burst(bench);
    } else if (count == 1 && strcmp(words[0], "phases") == 0) {
        bench_phases(bench);
    } else {
        usage();
    }
}

int main(int argc, char **argv)
{
    struct bench bench = {.seconds = 0.25};
    for (int option = getopt(argc, argv, "+s:n:"); option != -1;
         option = getopt(argc, argv, "+s:n:")) {
        switch (option) {
        case 's':
            if (!bench_read_seconds(optarg, &bench.seconds)) {
                usage();
            }
            break;
        case 'n':
            bench.operations = number(optarg);
            break;
        default:
            usage();
        }
    }
    if (argc - optind < 2) {
        usage();
    }
    load(&bench, argv[optind]);
    run(&bench, argv + optind + 1, argc - optind - 1);
    (void)fflush(stdout);
    _exit(EXIT_SUCCESS);
}
