/* SPDX-License-Identifier: ISC */
#include "api/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "api/child.h"
#include "api/look.h"

enum { MASK = 0x5a, BLOCK = 1 << 20 };

static unsigned char masked[SECRET_SIZE];

/* What is read lies here, and is itself left out of the scan. */
static unsigned char *window;

void secret_make(void)
{
    CHECK_EQUAL(getrandom(masked, sizeof(masked), 0), sizeof(masked));
    for (size_t i = 0; i < sizeof(masked); i++) {
        masked[i] |= 1; /* then no byte of the secret is 0 */
    }
}

void secret_write(void *to)
{
    volatile unsigned char *byte = to;
    for (size_t i = 0; i < SECRET_SIZE; i++) {
        byte[i] = masked[i] ^ MASK;
    }
}

bool secret_is_at(const void *at)
{
    const volatile unsigned char *byte = at;
    unsigned char wrong = 0;
    for (size_t i = 0; i < SECRET_SIZE; i++) {
        wrong |= byte[i] ^ masked[i] ^ MASK;
    }
    return wrong == 0;
}

static size_t count_in(const unsigned char *bytes, size_t size)
{
    const unsigned char first = masked[0] ^ MASK;
    const unsigned char *end = bytes + size;
    size_t count = 0;
    for (const unsigned char *at = bytes; at != NULL && at + SECRET_SIZE <= end; at++) {
        at = memchr(at, first, (size_t)(end - at));
        if (at == NULL || at + SECRET_SIZE > end) {
            break;
        }
        count += secret_is_at(at);
    }
    return count;
}

static void open_window(void)
{
    if (window == NULL) {
        window = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(window != MAP_FAILED);
    }
}

/* From `from` to `to` of a file, in steps that overlap, so that no secret hides on an edge. */
static size_t count_range(int file, uint64_t from, uint64_t to)
{
    size_t count = 0;
    while (from + SECRET_SIZE <= to) {
        const size_t wanted = to - from < BLOCK ? (size_t)(to - from) : BLOCK;
        const ssize_t got = pread(file, window, wanted, (off_t)from);
        if (got < SECRET_SIZE) {
            /* A hole, a guard, or a page of a device: nobody can read it. */
            from = (from / page_size() + 1) * page_size();
            continue;
        }
        count += count_in(window, (size_t)got);
        from += (uint64_t)got - (SECRET_SIZE - 1);
    }
    memset(window, 0, BLOCK);
    return count;
}

struct scan {
    int file;
    size_t count;
};

static bool count_mapping(const struct mapping *mapping, void *context)
{
    struct scan *scan = context;
    const uintptr_t own = (uintptr_t)window;
    /* What has no page holds no secret: the sanitizers' shadow is larger than any memory. */
    const bool is_empty = mapping->resident == 0;
    const bool is_shadow = SANITIZED && mapping->end - mapping->start > (UINT64_C(4) << 30);
    if (is_empty || is_shadow) {
        return false;
    }
    if (mapping->start <= own && own < mapping->end) {
        scan->count += count_range(scan->file, mapping->start, own);
        scan->count += count_range(scan->file, own + BLOCK, mapping->end);
    } else {
        scan->count += count_range(scan->file, mapping->start, mapping->end);
    }
    return false;
}

size_t secret_count(void)
{
    struct scan scan = {.file = open("/proc/self/mem", O_RDONLY | O_CLOEXEC)};
    CHECK(scan.file >= 0);
    open_window();
    (void)look_at_mappings(count_mapping, &scan);
    close(scan.file);
    return scan.count;
}

size_t secret_count_in_file(const char *path)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0);
    open_window();
    const off_t end = lseek(file, 0, SEEK_END);
    CHECK(end > 0);
    const size_t count = count_range(file, 0, (uint64_t)end);
    close(file);
    return count;
}

/* The control is known by having another mask for its last byte. */
static void swap_last_byte(void)
{
    masked[SECRET_SIZE - 1] ^= 0xff;
}

void secret_write_control(void *to)
{
    swap_last_byte();
    secret_write(to);
    swap_last_byte();
}

size_t secret_count_control_in_file(const char *path)
{
    swap_last_byte();
    const size_t count = secret_count_in_file(path);
    swap_last_byte();
    return count;
}
