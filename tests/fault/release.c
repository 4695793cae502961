/* SPDX-License-Identifier: ISC */
/* secure_release_pages: the caller's own memory, given back without a change of its lock. */
#include "fault/release.h"

#include <errno.h>
#include <secure_malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/child.h"
#include "api/look.h"
#include "api/secret.h"
#include "api/well.h"
#include "support/limits.h"
#include "support/seccomp.h"

enum { ADVICE_DONTNEED_LOCKED = 24 };

#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

static const struct way ways[] = {
    {"native", false, false, false, false},
    {"without PROCMAP_QUERY", false, true, false, false},
    {"fall-back", true, false, false, false},
    {"fall-back, without PROCMAP_QUERY", true, true, false, false},
    {"fall-back, without mincore", true, false, true, false},
    {"fall-back, from a way taken away", true, false, false, true},
};

static void must_be_filtered(int result)
{
    if (result != 0) {
        child_skip("this kernel has no seccomp filters");
    }
}

void release_go(const struct way *way)
{
    if (way->after_first_use) {
        CHECK(secure_init(NULL) == 0);
    }
    if (way->no_DONTNEED_LOCKED) {
        must_be_filtered(filter_madvise(ADVICE_DONTNEED_LOCKED, EINVAL));
        must_be_filtered(filter_process_madvise(ADVICE_DONTNEED_LOCKED, EINVAL));
    }
    if (way->no_PROCMAP_QUERY) {
        must_be_filtered(filter_syscall(SYS_ioctl, ENOTTY));
    }
    if (way->no_mincore) {
        must_be_filtered(filter_syscall(SYS_mincore, ENOSYS));
    }
}

char *release_map(int protection, int flags)
{
    char *start = mmap(NULL, PAGES * page_size(), protection, flags, -1, 0);
    CHECK(start != MAP_FAILED);
    return start;
}

char *release_own_memory(void)
{
    return release_map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
}

void release_fill(char *start)
{
    for (size_t page = 0; page < PAGES; page++) {
        memset(start + page * page_size(), (int)page + 1, page_size());
    }
}

bool release_page_is(const char *start, size_t page, char byte)
{
    for (size_t i = 0; i < page_size(); i++) {
        if (start[page * page_size() + i] != byte) {
            return false;
        }
    }
    return true;
}

char *release_middle(char *start)
{
    return start + FROM * page_size();
}

static uint64_t resident_in(const char *start)
{
    unsigned char resident[PAGES];
    uint64_t count = 0;
    CHECK(mincore((void *)(uintptr_t)start, PAGES * page_size(), resident) == 0);
    for (size_t i = 0; i < PAGES; i++) {
        count += resident[i] & 1;
    }
    return count;
}

/* Releases the middle of a filled range: it is zero and not resident, its neighbours are as they
 * were, and all of it is locked as it was. */
static void check_release(char *start)
{
    release_fill(start);
    const struct mapping before = look_at(start);
    const size_t mappings = look_mappings();
    CHECK(secure_release_pages(release_middle(start), COUNT * page_size()) == 0);
    for (size_t page = 0; page < PAGES; page++) {
        const struct mapping mapping = look_at(start + page * page_size());
        CHECK_EQUAL(mapping.is_locked, before.is_locked);
        CHECK_EQUAL(mapping.on_fault, before.on_fault);
    }
    CHECK(SANITIZED || look_mappings() == mappings); /* a sanitizer maps as it goes */
    for (size_t page = 0; page < PAGES; page++) {
        const bool is_released = page >= FROM && page < FROM + COUNT;
        CHECK(release_page_is(start, page, is_released ? 0 : (char)(page + 1)));
    }
    memset(release_middle(start), 9, COUNT * page_size()); /* it can be used again */
    CHECK(secure_release_pages(start, PAGES * page_size()) == 0);
    CHECK(release_page_is(start, 0, 0) && release_page_is(start, PAGES - 1, 0));
    CHECK(secure_release_pages(start, 0) == 0);
}

static void unlocked(void *context)
{
    release_go(context);
    char *start = release_own_memory();
    check_release(start);
    release_fill(start);
    const uint64_t before = look_at(start).resident;
    CHECK(secure_release_pages(release_middle(start), COUNT * page_size()) == 0);
    CHECK(look_at(start).resident + COUNT * page_size() <= before);
}

static void on_fault(void *context)
{
    const struct way *way = context;
    child_needs_to_lock((unsigned)(PAGES * page_size() / 1024));
    release_go(way);
    char *start = release_own_memory();
    if (syscall(SYS_mlock2, start, PAGES * page_size(), MLOCK_ONFAULT) != 0) {
        child_skip("this kernel has no mlock2");
    }
    check_release(start);
    CHECK(look_at(start).is_locked && look_at(start).on_fault);
    release_fill(start);
    const uint64_t locked = look_status("VmLck");
    CHECK(secure_release_pages(release_middle(start), COUNT * page_size()) == 0);
    CHECK_EQUAL(look_status("VmLck"), locked);
    if (!way->no_mincore) {
        CHECK_EQUAL(resident_in(start), PAGES - COUNT);
    }
}

/* In the fall-back a plain lock makes its pages resident again: zero, and locked. */
static void plainly_locked(void *context)
{
    const struct way *way = context;
    child_needs_to_lock((unsigned)(PAGES * page_size() / 1024));
    release_go(way);
    char *start = release_own_memory();
    CHECK(syscall(SYS_mlock, start, PAGES * page_size()) == 0);
    check_release(start);
    CHECK(look_at(start).is_locked && !look_at(start).on_fault);
}

static void under_mlockall(const struct way *way, int flags)
{
    child_needs_to_lock_the_process();
    release_go(way);
    char *before = release_own_memory();
    CHECK(syscall(SYS_mlockall, flags) == 0);
    char *later = release_own_memory();
    check_release(before);
    check_release(later);
    CHECK(look_at(before).is_locked && look_at(later).is_locked);
    CHECK_EQUAL(look_at(later).on_fault, (flags & MCL_ONFAULT) != 0);
}

static void under_mlockall_on_fault(void *context)
{
    under_mlockall(context, MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}

static void under_plain_mlockall(void *context)
{
    under_mlockall(context, MCL_CURRENT | MCL_FUTURE);
}

/* One range over mappings that are locked in different ways: each keeps its own. */
static void mixed_locks(void *context)
{
    const size_t page = page_size();
    child_needs_to_lock((unsigned)(PAGES * page_size() / 1024));
    release_go(context);
    char *start = release_own_memory();
    CHECK(syscall(SYS_mlock, start + 2 * page, 3 * page) == 0);
    CHECK(syscall(SYS_mlock2, start + 6 * page, 3 * page, MLOCK_ONFAULT) == 0);
    release_fill(start);
    CHECK(secure_release_pages(start, PAGES * page) == 0);
    for (size_t i = 0; i < PAGES; i++) {
        const struct mapping mapping = look_at(start + i * page);
        CHECK_EQUAL(mapping.is_locked, (i >= 2 && i < 5) || (i >= 6 && i < 9));
        CHECK_EQUAL(mapping.on_fault, i >= 6 && i < 9);
        CHECK(release_page_is(start, i, 0));
    }
}

/* Nothing of it is left, not in the pages that were given back either. */
static void leaves_no_copy(void *context)
{
    child_needs_to_lock((unsigned)(PAGES * page_size() / 1024));
    release_go(context);
    secret_make();
    char *start = release_own_memory();
    CHECK(syscall(SYS_mlock, start, PAGES * page_size()) == 0);
    secret_write(release_middle(start) + 100);
    CHECK_EQUAL(secret_count(), 1);
    CHECK(secure_release_pages(release_middle(start), COUNT * page_size()) == 0);
    CHECK_EQUAL(secret_count(), 0);
}

/* ---- each in every way ---- */

static const struct {
    const char *name;
    child_body *body;
} rows[] = {
    {"unlocked", unlocked},
    {"locked on fault", on_fault},
    {"plainly locked", plainly_locked},
    {"under mlockall on fault", under_mlockall_on_fault},
    {"under plain mlockall", under_plain_mlockall},
    {"mixed locks", mixed_locks},
    {"leaves no copy", leaves_no_copy},
    {"refuses wrong ranges", release_wrong_ranges},
    {"refuses wrong protection", release_wrong_protection},
    {"refuses wrong mappings", release_wrong_mappings},
    {"refuses what is ours", release_what_is_ours},
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]), WAYS = sizeof(ways) / sizeof(ways[0]) };

struct test {
    char name[96];
    child_body *body;
    struct way way;
};

static void run(void **state)
{
    struct test *test = *state;
    child_must_survive(test->name, test->body, &test->way);
}

int main(void)
{
    static struct test all[ROWS * WAYS];
    struct CMUnitTest tests[ROWS * WAYS];
    for (size_t i = 0; i < ROWS * WAYS; i++) {
        all[i].body = rows[i / WAYS].body;
        all[i].way = ways[i % WAYS];
        snprintf(all[i].name, sizeof(all[i].name), "%s, %s", rows[i / WAYS].name, all[i].way.name);
        tests[i] =
            (struct CMUnitTest){.name = all[i].name, .test_func = run, .initial_state = &all[i]};
    }
    return _cmocka_run_group_tests("release", tests, ROWS * WAYS, NULL, NULL);
}
