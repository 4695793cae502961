/* SPDX-License-Identifier: ISC */
#include "bench/memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../examples/support/figures.h"
#include "bench/bench.h"

enum { ROLLUP_SIZE = 4096, KIB = 1024 };

/* What is resident without the pages of files: each piece of code that runs for the first time
 * brings 64 KiB of those, and none of it is an allocator's. Allocates nothing. */
static double read_anonymous(double otherwise)
{
    static const char *const names[] = {"\nAnonymous:", "\nPss_Shmem:"};
    char text[ROLLUP_SIZE];
    double bytes = 0;
    const int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    const ssize_t got = file >= 0 ? read(file, text, sizeof(text) - 1) : -1;
    if (file >= 0) {
        (void)close(file);
    }
    text[got > 0 ? got : 0] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *found = strstr(text, names[i]);
        if (found == NULL) {
            return otherwise;
        }
        bytes += (double)strtoull(found + strlen(names[i]), NULL, 10) * KIB;
    }
    return bytes;
}

struct bench_memory bench_memory(void)
{
    struct figures figures;
    struct rusage usage;
    if (figures_read(&figures) != 0 || getrusage(RUSAGE_SELF, &usage) != 0) {
        bench_cannot("/proc/self cannot be read");
    }
    return (struct bench_memory){
        .resident = read_anonymous((double)figures.resident),
        .locked = (double)figures.locked,
        .mappings = (double)figures.mappings,
        .faults = (double)usage.ru_minflt,
    };
}

void **bench_table(uint64_t count)
{
    const size_t size = (size_t)count * sizeof(void *);
    void **table = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED) {
        bench_cannot("no memory for %llu pointers", (unsigned long long)count);
    }
    memset(table, 1, size);
    return table;
}
