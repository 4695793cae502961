/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "os/os.h"
#include "unit/expect.h"
#include "unit/os_view.h"

enum { PAGES = 8, FILLED = 0xa5, DONTNEED_LOCKED = 24, MANY = 100 };

enum mode { NOT_LOCKED, ON_FAULT, POPULATED };

static size_t page;
static size_t size;

static int find_page_size(void **state)
{
    (void)state;
    page = os_page_size();
    size = PAGES * page;
    return 0;
}

static void set_mode(char *start, size_t bytes, enum mode mode)
{
    switch (mode) {
    case ON_FAULT:
        EXPECT(syscall(SYS_mlock2, start, bytes, 1) == 0);
        break;
    case POPULATED:
        EXPECT(syscall(SYS_mlock, start, bytes) == 0);
        break;
    default:
        EXPECT(syscall(SYS_munlock, start, bytes) == 0);
    }
}

static bool has_mode(char *start, enum mode mode)
{
    return view_is_locked(start) == (mode != NOT_LOCKED) &&
           view_is_locked_on_fault(start) == (mode == ON_FAULT);
}

static char *mapped(size_t bytes)
{
    char *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(start != MAP_FAILED);
    return start;
}

static struct os_purger purger_here(bool fallback)
{
    struct os_purger purger;
    os_purge_probe(&purger);
    if (fallback) {
        expect_filter(filter_madvise(DONTNEED_LOCKED, EINVAL));
    }
    return purger;
}

struct release {
    enum mode mode;
    bool fallback;
};

static void release_middle(void *context)
{
    const struct release *release = context;
    struct os_purger purger = purger_here(release->fallback);
    char *start = mapped(size);
    set_mode(start, size, release->mode);
    memset(start, FILLED, size);
    const unsigned long charged = view_charged();

    errno = ERANGE;
    EXPECT(os_caller_pages_release(&purger, start + 2 * page, 4 * page) == 0);
    EXPECT(errno == ERANGE);
    EXPECT(!release->fallback || purger.way == OS_PURGE_FALLBACK);
    if (!(release->fallback && release->mode == POPULATED)) {
        EXPECT(!view_is_resident(start + 2 * page) && !view_is_resident(start + 5 * page));
    }
    EXPECT(view_is_resident(start + page) && view_is_resident(start + 6 * page));
    EXPECT(view_charged() == charged);
    EXPECT(has_mode(start, release->mode) && has_mode(start + 2 * page, release->mode));
    EXPECT(view_is_all(start, 2 * page, FILLED));
    EXPECT(view_is_all(start + 2 * page, 4 * page, 0));
    EXPECT(view_is_all(start + 6 * page, 2 * page, FILLED));
}

static void contents_go_and_the_lock_stays_as_it_was(void **state)
{
    (void)state;
    for (int fallback = 0; fallback < 2; fallback++) {
        for (int mode = NOT_LOCKED; mode <= POPULATED; mode++) {
            struct release release = {(enum mode)mode, fallback != 0};
            expect_child(release_middle, &release);
        }
    }
}

/* More mappings than are looked up at once, and of all kinds. */
static void release_many_mappings(void *context)
{
    const bool fallback = *(const bool *)context;
    struct os_purger purger = purger_here(fallback);
    char *start = mapped((MANY + 2) * page);
    memset(start, FILLED, (MANY + 2) * page);
    for (size_t i = 0; i < MANY; i++) {
        set_mode(start + (i + 1) * page, page, (enum mode)(i % 3));
    }
    const unsigned long charged = view_charged();
    EXPECT(os_caller_pages_release(&purger, start + page, MANY * page) == 0);
    EXPECT(view_charged() == charged);
    for (size_t i = 0; i < MANY; i++) {
        EXPECT(has_mode(start + (i + 1) * page, (enum mode)(i % 3)));
    }
    EXPECT(view_is_all(start + page, MANY * page, 0));
    EXPECT(view_is_all(start, page, FILLED));
    EXPECT(view_is_all(start + (MANY + 1) * page, page, FILLED));
}

static void each_mapping_keeps_a_lock_of_its_own(void **state)
{
    (void)state;
    if (!limits_need_memlock(MANY * page)) {
        skip_test("needs 100 pages of RLIMIT_MEMLOCK");
    }
    bool fallback = false;
    expect_child(release_many_mappings, &fallback);
    fallback = true;
    expect_child(release_many_mappings, &fallback);
}

static void release_under_mlockall(void *context)
{
    const bool fallback = *(const bool *)context;
    struct os_purger purger = purger_here(fallback);
    if (!limits_has_ipc_lock()) {
        expect_skip("needs CAP_IPC_LOCK");
    }
    EXPECT(os_process_lock() == 0);
    char *start = mapped(size);
    memset(start, FILLED, size);
    EXPECT(os_caller_pages_release(&purger, start + page, page) == 0);
    EXPECT(!view_is_resident(start + page));
    EXPECT(has_mode(start, ON_FAULT) && has_mode(start + page, ON_FAULT));
    EXPECT(view_is_all(start, page, FILLED) && view_is_all(start + page, page, 0));
}

static void process_under_mlockall_keeps_its_policy(void **state)
{
    (void)state;
    bool fallback = false;
    expect_child(release_under_mlockall, &fallback);
    fallback = true;
    expect_child(release_under_mlockall, &fallback);
}

/* Where the discard is refused, what the wipe has done can be seen. */
static void release_without_discard(void *context)
{
    (void)context;
    struct os_purger purger = purger_here(true);
    char *start = mapped(size);
    set_mode(start, size, ON_FAULT);
    memset(start, FILLED, 3 * page);
    expect_filter(filter_madvise(MADV_DONTNEED, EPERM));
    EXPECT(os_caller_pages_release(&purger, start, size) == -EPERM);
    EXPECT(view_of(start).resident == 3 * page); /* the rest was not touched */
    EXPECT(view_is_all(start, 3 * page, 0));
    EXPECT(has_mode(start, ON_FAULT));
}

static void release_where_munlock_is_refused(void *context)
{
    (void)context;
    struct os_purger purger = purger_here(true);
    char *start = mapped(size);
    set_mode(start, size, ON_FAULT);
    memset(start, FILLED, size);
    expect_filter(filter_syscall(SYS_munlock, ENOMEM)); /* the limit on mappings */
    EXPECT(os_caller_pages_release(&purger, start, size) == -ENOMEM);
    EXPECT(view_is_all(start, size, 0) && has_mode(start, ON_FAULT));
}

static void fallback_wipes_what_is_resident_before_it_unlocks(void **state)
{
    (void)state;
    expect_child(release_without_discard, NULL);
    expect_child(release_where_munlock_is_refused, NULL);
}

static void release_where_relock_is_refused(void *context)
{
    (void)context;
    struct os_purger purger = purger_here(true);
    char *start = mapped(size);
    set_mode(start, size, ON_FAULT);
    memset(start, FILLED, size);
    expect_lock_limit(size - page);
    EXPECT(os_caller_pages_release(&purger, start, size) == -ENOMEM);
    EXPECT(view_is_all(start, size, 0));
}

static void release_without_proc(void *context)
{
    (void)context;
    struct os_purger purger = purger_here(true);
    char *start = mapped(size);
    memset(start, FILLED, size);
    expect_filter(filter_syscall(SYS_openat, EACCES));
    EXPECT(os_caller_pages_release(&purger, start, size) == -EACCES);
    EXPECT(view_is_all(start, size, FILLED));
}

static void release_blindly(void *context)
{
    (void)context;
    struct os_purger purger = purger_here(true);
    char *start = mapped(size);
    set_mode(start, size, ON_FAULT);
    memset(start, FILLED, page);
    expect_filter(filter_syscall(SYS_mincore, ENOSYS));
    EXPECT(os_caller_pages_release(&purger, start, size) == 0);
    EXPECT(view_of(start).resident == 0 && has_mode(start, ON_FAULT));
    EXPECT(view_is_all(start, size, 0));
}

static void what_goes_wrong_is_said(void **state)
{
    (void)state;
    expect_child(release_where_relock_is_refused, NULL);
    expect_child(release_without_proc, NULL);
    expect_child(release_blindly, NULL);
}

int main(void)
{
    expect_pages_to_lock("unit.os_purge_caller", os_page_size());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contents_go_and_the_lock_stays_as_it_was),
        cmocka_unit_test(each_mapping_keeps_a_lock_of_its_own),
        cmocka_unit_test(process_under_mlockall_keeps_its_policy),
        cmocka_unit_test(fallback_wipes_what_is_resident_before_it_unlocks),
        cmocka_unit_test(what_goes_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, find_page_size, NULL);
}
