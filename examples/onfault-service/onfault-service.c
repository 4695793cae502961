/* SPDX-License-Identifier: ISC */
/*
 * onfault-service: a process under mlockall(MCL_CURRENT|MCL_FUTURE|MCL_ONFAULT) that keeps a cache
 * of decrypted records in memory of its own, and drops the records of clients that left. munmap
 * would lose the place, munlock would change the policy, and MADV_DONTNEED refuses locked memory:
 * secure_release_pages gives the pages back, and the lock stays as it was.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <secure_malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../support/figures.h"

enum {
    EXIT_USAGE = 2,
    EXIT_SKIP = 77,
    KIB = 1024,
    RECORD_PAGES = 4,
    RECORDS_WANTED = 1024,
    RECORDS_MIN = 8,
    KEY_SIZE = 32
};

struct cache {
    unsigned char *base;
    size_t record_size; /* whole pages: what is given back is always whole pages */
    size_t count;
};

struct options {
    bool is_own_call; /* mlockall by ourselves, not through the library */
    size_t count;
};

static const char help[] =
    "Usage: onfault-service [--own-mlockall] [--records N]\n"
    "Locks the process with mlockall(MCL_CURRENT|MCL_FUTURE|MCL_ONFAULT), fills a cache of N "
    "records\n"
    "(1024) of four pages, drops every second one, uses a few of those again, and shows resident "
    "and\n"
    "locked memory at each step. If the limit on locked memory does not allow N records, it takes\n"
    "fewer, and says so.\n"
    "\n"
    "  --own-mlockall  call mlockall directly, not secure_lock_process\n"
    "\n"
    "Exit status: 0 done, and all as it must be; 1 not so; 2 usage; 77 the limit on locked memory\n"
    "(ulimit -l) is too small for the process.\n";

static int fail(const char *what, int error)
{
    (void)fprintf(stderr, "onfault-service: %s: %s\n", what, strerror(error));
    return EXIT_FAILURE;
}

static int skip(int error)
{
    (void)fprintf(
        stderr,
        "onfault-service: the limit on locked memory (ulimit -l) does not allow the whole "
        "process to be locked: %s\n",
        strerror(error));
    return EXIT_SKIP;
}

static unsigned char *record(const struct cache *cache, size_t i)
{
    return cache->base + i * cache->record_size;
}

/* What a record holds here, in place of a decrypted one: bytes that depend on it and on the key. */
static void fill(const struct cache *cache, size_t i, const unsigned char key[KEY_SIZE])
{
    unsigned char *bytes = record(cache, i);

    for (size_t at = 0; at < cache->record_size; at++) {
        bytes[at] = (unsigned char)((key[at % KEY_SIZE] ^ i ^ at) | 1U);
    }
}

static bool is_filled(const struct cache *cache, size_t i, const unsigned char key[KEY_SIZE])
{
    const unsigned char *bytes = record(cache, i);

    for (size_t at = 0; at < cache->record_size; at++) {
        if (bytes[at] != (unsigned char)((key[at % KEY_SIZE] ^ i ^ at) | 1U)) {
            return false;
        }
    }
    return true;
}

static bool is_zero(const struct cache *cache, size_t i)
{
    const unsigned char *bytes = record(cache, i);

    for (size_t at = 0; at < cache->record_size; at++) {
        if (bytes[at] != 0) {
            return false;
        }
    }
    return true;
}

static bool is_kept(size_t i)
{
    return i % 2 == 0;
}

/* One step in the table. 0 or errno. */
static int show(const char *step, const struct cache *cache, struct figures_mapping *mapping)
{
    struct figures figures;

    int error = -figures_read(&figures);
    if (error == 0 && cache->base != NULL) {
        error = -figures_read_mapping(mapping, cache->base);
    }
    if (error == 0) {
        (void)printf("%-24s %10" PRIu64 " %11" PRIu64 " %14" PRIu64 " %8" PRIu64 "\n", step,
                     figures.resident / KIB, figures.locked / KIB, mapping->resident / KIB,
                     figures.mappings);
    }
    return error;
}

/*
 * What holds secrets stays out of core files; and it takes no huge pages, of which a part cannot be
 * given back. A kernel without them refuses the second advice: that is no error.
 */
static int advise(const struct cache *cache)
{
    const size_t size = cache->count * cache->record_size;

    (void)madvise(cache->base, size, MADV_NOHUGEPAGE);
    return madvise(cache->base, size, MADV_DONTDUMP) == 0 ? 0 : errno;
}

/* Address space for the cache; born locked on fault, as MCL_FUTURE says. 0 or errno. */
static int map_cache(struct cache *cache, size_t wanted)
{
    cache->record_size = RECORD_PAGES * (size_t)sysconf(_SC_PAGESIZE);
    for (cache->count = wanted; cache->count >= RECORDS_MIN; cache->count /= 2) {
        void *base = mmap(NULL, cache->count * cache->record_size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (base != MAP_FAILED) {
            cache->base = base;
            if (cache->count < wanted) {
                (void)printf("scaled down: the limit on locked memory (ulimit -l) allows %zu of "
                             "%zu records\n",
                             cache->count, wanted);
            }
            return advise(cache);
        }
    }
    return errno;
}

static int verdict(const char *what, bool is_so)
{
    (void)printf("%s: %s\n", what, is_so ? "yes" : "NO");
    return is_so ? 0 : 1;
}

/* The work of the service: fill, drop, use again. 0 if everything was as it must be. */
static int serve(struct cache *cache, const unsigned char key[KEY_SIZE])
{
    struct figures_mapping full = {0, 0, false, false};
    struct figures_mapping half = {0, 0, false, false};
    struct figures_mapping again = {0, 0, false, false};
    bool is_all_zero = true;
    bool is_all_kept = true;

    for (size_t i = 0; i < cache->count; i++) {
        fill(cache, i, key);
    }
    int error = show("cache full", cache, &full);
    for (size_t i = 0; i < cache->count && error == 0; i++) {
        if (!is_kept(i) && secure_release_pages(record(cache, i), cache->record_size) != 0) {
            error = errno;
        }
    }
    if (error == 0) {
        error = show("every second one dropped", cache, &half);
    }
    for (size_t i = 0; i < cache->count; i++) {
        is_all_zero &= is_kept(i) || is_zero(cache, i);
        is_all_kept &= !is_kept(i) || is_filled(cache, i, key);
    }
    for (size_t i = 0; i < cache->count / 4; i++) {
        fill(cache, i, key); /* locked at once, as its pages are touched: nothing to do for it */
    }
    if (error == 0) {
        error = show("first quarter used again", cache, &again);
    }
    if (error != 0) {
        return fail("/proc/self or secure_release_pages", error);
    }
    const size_t size = cache->count * cache->record_size;
    const size_t dropped = cache->count / 2 * cache->record_size;
    return verdict("dropped records read zero", is_all_zero) |
           verdict("kept records are whole", is_all_kept) |
           verdict("half of the cache came back", full.resident - half.resident == dropped) |
           verdict("the cache is one mapping, locked on fault, all the time",
                   again.size >= size && full.is_locked && full.is_on_fault && half.is_locked &&
                       half.is_on_fault && again.is_locked && again.is_on_fault);
}

/* The process locked, a key in secure memory, the cache: then the work. */
static int run(const struct options *options)
{
    struct cache cache = {NULL, 0, 0};
    struct figures_mapping none = {0, 0, false, false};

    const int locked = options->is_own_call ? mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)
                                            : secure_lock_process();
    if (locked != 0) {
        return errno == ENOMEM || errno == EPERM ? skip(errno) : fail("mlockall", errno);
    }
    unsigned char *key = secure_malloc(KEY_SIZE);
    if (key == NULL) {
        return skip(errno);
    }
    memset(key, 0x5a, KEY_SIZE);
    int error = map_cache(&cache, options->count);
    if (error != 0) {
        secure_free(key);
        return cache.base == NULL ? skip(error) : fail("madvise", error);
    }
    (void)printf("%zu records of %zu KiB\n\n%-24s %10s %11s %14s %8s\n", cache.count,
                 cache.record_size / KIB, "", "RSS KiB", "VmLck KiB", "cache RSS KiB", "VMAs");
    error = show("process locked", &cache, &none);
    const int status = error == 0 ? serve(&cache, key) : fail("/proc/self", error);
    (void)munmap(cache.base, cache.count * cache.record_size);
    secure_free(key);
    return fflush(stdout) == 0 ? status : fail("stdout", errno);
}

static void parse(struct options *options, int count, char **words)
{
    static const struct option table[] = {
        {"own-mlockall", no_argument, NULL, 'o'},
        {"records", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    char *end = NULL;
    int letter = 0;

    while ((letter = getopt_long(count, words, "", table, NULL)) != -1) {
        if (letter == 'o') {
            options->is_own_call = true;
        } else if (letter == 'r') {
            options->count = strtoul(optarg, &end, 10);
        } else if (letter == 'h') {
            (void)fputs(help, stdout);
            exit(EXIT_SUCCESS);
        } else {
            exit(EXIT_USAGE); /* getopt_long has said why */
        }
    }
    if (optind < count || (end != NULL && *end != '\0') || options->count < RECORDS_MIN ||
        options->count > UINT32_MAX) {
        (void)fprintf(stderr, "onfault-service: usage: --records needs a number from %d; --help\n",
                      RECORDS_MIN);
        exit(EXIT_USAGE);
    }
}

int main(int count, char **words)
{
    static char output[4 * KIB];
    struct options options = {false, RECORDS_WANTED};

    parse(&options, count, words);
    (void)setvbuf(stdout, output, _IOFBF, sizeof output);
    return run(&options);
}
