/* SPDX-License-Identifier: ISC */
/* What secure_release_pages refuses, without having changed anything. */
#include <errno.h>
#include <secure_malloc.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/child.h"
#include "api/look.h"
#include "api/well.h"
#include "fault/release.h"

static void check_refused(char *start, size_t size)
{
    CHECK_FAILS(secure_release_pages(start, size), -1, EINVAL);
}

void release_wrong_ranges(void *context)
{
    const size_t page = page_size();
    release_go(context);
    char *start = release_own_memory();
    release_fill(start);
    check_refused(start + 1, page);
    check_refused(start + 16, page);
    check_refused(start, page + 1);
    check_refused(start, 100);
    check_refused(start, SIZE_MAX - page + 1); /* beyond the end of all addresses */
    check_refused(NULL, page);
    CHECK(munmap(start + 6 * page, page) == 0);
    check_refused(start, PAGES * page); /* a hole */
    check_refused(start + 6 * page, page);
    check_refused(start + 6 * page, 2 * page);
    check_refused(start + 5 * page, 2 * page);
    for (size_t i = 0; i < PAGES; i++) {
        CHECK(i == 6 || release_page_is(start, i, (char)(i + 1)));
    }
}

void release_wrong_protection(void *context)
{
    static const int protections[] = {PROT_READ, PROT_NONE};
    const size_t page = page_size();
    release_go(context);
    for (int i = 0; i < 2; i++) {
        char *start = release_own_memory();
        release_fill(start);
        CHECK(mprotect(start + 7 * page, page, protections[i]) == 0);
        check_refused(start, PAGES * page);
        check_refused(start + 7 * page, page);
        CHECK(mprotect(start + 7 * page, page, PROT_READ | PROT_WRITE) == 0);
        for (size_t j = 0; j < PAGES; j++) {
            CHECK(release_page_is(start, j, (char)(j + 1)));
        }
    }
}

static void check_keeps(char *start)
{
    release_fill(start);
    check_refused(start, PAGES * page_size());
    check_refused(release_middle(start), page_size());
    for (size_t i = 0; i < PAGES; i++) {
        CHECK(release_page_is(start, i, (char)(i + 1)));
    }
}

void release_wrong_mappings(void *context)
{
    const size_t size = PAGES * page_size();
    release_go(context);
    check_keeps(release_map(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS));
    const int file = memfd_create("pages", MFD_CLOEXEC);
    CHECK(file >= 0 && ftruncate(file, (off_t)size) == 0);
    check_keeps(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    check_keeps(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0));
    /* Private and anonymous, but for one page in the middle. */
    char *mixed = release_own_memory();
    CHECK(mmap(mixed + 4 * page_size(), page_size(), PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
    release_fill(mixed);
    check_refused(mixed, PAGES * page_size());
    check_refused(mixed + 4 * page_size(), page_size());
    for (size_t i = 0; i < PAGES; i++) {
        CHECK(release_page_is(mixed, i, (char)(i + 1)));
    }
}

void release_what_is_ours(void *context)
{
    const size_t page = page_size();
    release_go(context);
    char *small = secure_malloc(32);
    memset(small, 7, 32);
    char *at = (char *)((uintptr_t)small / page * page);
    check_refused(at, page);
    check_refused(at - page, 2 * page);
    check_refused(at, 100 * page);
    char *large = secure_malloc(4 * page);
    CHECK(large != NULL);
    memset(large, 7, 4 * page);
    large = (char *)((uintptr_t)large / page * page);
    check_refused(large, page);
    CHECK(small[0] == 7 && small[31] == 7);
    check_well();
}
