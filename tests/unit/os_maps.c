/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>

#include <sys/syscall.h>
#include <time.h>

#include "os/os.h"
#include "support/sanitizer.h"
#include "unit/expect.h"
#include "unit/os_view.h"

enum { PAGES = 8, FILLED = 0xa5 };

static size_t page;
static size_t size;

static int find_page_size(void **state)
{
    (void)state;
    page = os_page_size();
    size = PAGES * page;
    return 0;
}

struct search {
    uintptr_t address;
    struct os_mapping found;
    unsigned visited;
    unsigned of_it;
    uintptr_t end;
    bool is_out_of_order;
};

static int find(const struct os_mapping *mapping, void *context)
{
    struct search *search = context;
    search->visited++;
    search->is_out_of_order |= mapping->start < search->end || mapping->start >= mapping->end;
    search->end = mapping->end;
    if (mapping->start <= search->address && search->address < mapping->end) {
        search->found = *mapping;
        search->of_it++;
    }
    return 0;
}

static struct os_mapping mapping_of(const void *address)
{
    struct search search = {.address = (uintptr_t)address};
    assert_int_equal(os_mappings_visit(find, &search), 0);
    assert_false(search.is_out_of_order);
    assert_int_equal(search.of_it, 1);
    return search.found;
}

static char *mapped(int protection, int flags)
{
    char *start = mmap(NULL, size, protection, flags | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(start, MAP_FAILED);
    return start;
}

static void every_mapping_is_visited_once_and_in_order(void **state)
{
    (void)state;
    struct search search = {0};
    view_count_mappings(); /* stdio has its buffers now */
    const unsigned long mappings = view_count_mappings();
    errno = ERANGE;
    assert_int_equal(os_mappings_visit(find, &search), 0);
    assert_int_equal(errno, ERANGE);
    assert_false(search.is_out_of_order);
    /* ThreadSanitizer has a thread of its own, which maps memory at any time. */
    assert_true(THREAD_SANITIZED || search.visited == mappings);
}

static void bounds_access_and_kind_are_told(void **state)
{
    (void)state;
    char *start = mapped(PROT_READ | PROT_WRITE, MAP_PRIVATE);
    assert_int_equal(mprotect(start, page, PROT_NONE), 0);
    assert_int_equal(mprotect(start + 3 * page, 2 * page, PROT_READ), 0);
    struct os_mapping mapping = mapping_of(start + 4 * page);
    assert_int_equal(mapping.start, (uintptr_t)start + 3 * page);
    assert_int_equal(mapping.end, (uintptr_t)start + 5 * page);
    assert_true(mapping.readable && !mapping.writable && !mapping.shared && mapping.anonymous);
    mapping = mapping_of(start);
    assert_true(!mapping.readable && !mapping.writable);
    mapping = mapping_of(start + page);
    assert_true(mapping.readable && mapping.writable);
    munmap(start, size);

    char *shared = mapped(PROT_READ | PROT_WRITE, MAP_SHARED);
    mapping = mapping_of(shared);
    assert_true(mapping.shared && !mapping.anonymous);
    munmap(shared, size);
    mapping = mapping_of((const void *)find_page_size); /* the program's own file */
    assert_true(mapping.readable && !mapping.writable && !mapping.shared && !mapping.anonymous);
}

static void locks_are_told(void **state)
{
    (void)state;
    char *start = mapped(PROT_READ | PROT_WRITE, MAP_PRIVATE);
    struct os_mapping mapping = mapping_of(start);
    assert_false(mapping.locked || mapping.lock_on_fault);

    const unsigned long charged = view_charged();
    assert_int_equal(os_pages_lock(start + page, page), 0);
    mapping = mapping_of(start + page);
    assert_true(mapping.locked && mapping.lock_on_fault);
    assert_int_equal(mapping.end - mapping.start, page);
    assert_int_equal(view_charged(), charged + mapping.end - mapping.start);

    assert_int_equal(syscall(SYS_mlock, start + 3 * page, page), 0);
    mapping = mapping_of(start + 3 * page);
    assert_true(mapping.locked && !mapping.lock_on_fault);
    mapping = mapping_of(start + 2 * page);
    assert_false(mapping.locked || mapping.lock_on_fault);
    munmap(start, size);
}

static void advice_is_told(void **state)
{
    (void)state;
    char *start = mapped(PROT_READ | PROT_WRITE, MAP_PRIVATE);
    struct os_mapping mapping = mapping_of(start);
    assert_true(mapping.dumpable);
    assert_false(mapping.mergeable);
    if (madvise(start, size, MADV_MERGEABLE) == 0) { /* a kernel without KSM has no such advice */
        assert_true(mapping_of(start).mergeable);
    }
    assert_int_equal(os_pages_advise(start, size, OS_FORK_KEEP), 0);
    mapping = mapping_of(start);
    assert_false(mapping.dumpable || mapping.mergeable);
    munmap(start, size);
}

static void resident_bytes_are_told(void **state)
{
    (void)state;
    char *start = mapped(PROT_READ | PROT_WRITE, MAP_PRIVATE);
    assert_int_equal(os_pages_advise(start, size, OS_FORK_KEEP), 0); /* nothing huge */
    assert_int_equal(mapping_of(start).resident, 0);
    memset(start, FILLED, 3 * page);
    const struct os_mapping mapping = mapping_of(start);
    assert_int_equal(mapping.resident, 3 * page);
    assert_int_equal(mapping.swapped, view_of(start).swapped);
    munmap(start, size);
}

/* Paths can be longer than the buffer for a line. */
static void long_path_hides_nothing(void **state)
{
    (void)state;
    char path[PATH_MAX] = "/tmp/secure_malloc-";
    size_t length = strlen(path);
    memset(path + length, 'n', 200);
    snprintf(path + length + 200, sizeof(path) - length - 200, "-XXXXXX");
    int file = mkstemp(path);
    assert_true(file >= 0);
    unlink(path);
    assert_int_equal(ftruncate(file, (off_t)size), 0);
    char *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    assert_ptr_not_equal(start, MAP_FAILED);
    close(file);
    const struct os_mapping mapping = mapping_of(start);
    assert_int_equal(mapping.end - mapping.start, size);
    assert_true(mapping.readable && mapping.writable && !mapping.anonymous && mapping.dumpable);
    munmap(start, size);
}

static int stop_at_third(const struct os_mapping *mapping, void *context)
{
    (void)mapping;
    return ++*(int *)context == 3 ? 42 : 0;
}

static void visit_stops_when_told(void **state)
{
    (void)state;
    int visited = 0;
    assert_int_equal(os_mappings_visit(stop_at_third, &visited), 42);
    assert_int_equal(visited, 3);
}

/* ---- a range ---- */

struct seen {
    size_t count;
    struct os_mapping list[16];
};

static int note(const struct os_mapping *mapping, void *context)
{
    struct seen *seen = context;
    if (seen->count < 16) {
        seen->list[seen->count++] = *mapping;
    }
    return 0;
}

/* [private rw][none][hole][shared rw][read] */
static void visit_range(void *context)
{
    (void)context;
    char *start = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(mprotect(start + 2 * page, page, PROT_NONE) == 0);
    EXPECT(munmap(start + 3 * page, page) == 0);
    EXPECT(mmap(start + 4 * page, page, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == start + 4 * page);
    EXPECT(mprotect(start + 5 * page, 3 * page, PROT_READ) == 0);

    struct seen seen = {0};
    errno = ERANGE;
    EXPECT(os_mappings_visit_range(start + page, 5 * page, note, &seen) == 0);
    EXPECT(errno == ERANGE);
    EXPECT(seen.count == 4);
    EXPECT(seen.list[0].start <= (uintptr_t)start);
    EXPECT(seen.list[0].end == (uintptr_t)start + 2 * page);
    EXPECT(seen.list[0].readable && seen.list[0].writable && seen.list[0].anonymous);
    EXPECT(!seen.list[0].shared);
    EXPECT(seen.list[1].end == (uintptr_t)start + 3 * page);
    EXPECT(!seen.list[1].readable && !seen.list[1].writable);
    EXPECT(seen.list[2].start == (uintptr_t)start + 4 * page);
    EXPECT(seen.list[2].end == (uintptr_t)start + 5 * page);
    EXPECT(seen.list[2].shared && !seen.list[2].anonymous && seen.list[2].writable);
    EXPECT(seen.list[3].readable && !seen.list[3].writable);

    seen.count = 0;
    EXPECT(os_mappings_visit_range(start + 3 * page, page, note, &seen) == 0);
    EXPECT(seen.count == 0);
    EXPECT(os_mappings_visit_range((char *)(UINTPTR_MAX - 2 * page + 1), page, note, &seen) == 0);
    EXPECT(seen.count == 0);
    int visited = 0;
    EXPECT(os_mappings_visit_range(NULL, UINTPTR_MAX / 2, stop_at_third, &visited) == 42);
    EXPECT(visited == 3);
}

static void visit_range_as_text(void *context)
{
    expect_filter(filter_syscall(SYS_ioctl, ENOTTY)); /* before 6.11 */
    visit_range(context);
}

static void range_is_visited_with_and_without_procmap_query(void **state)
{
    (void)state;
    expect_child(visit_range, NULL);
    expect_child(visit_range_as_text, NULL);
}

/* ---- where it cannot be read ---- */

static void visit_in_sandbox(void *context)
{
    const int error = *(const int *)context;
    expect_filter(filter_syscall(SYS_openat, error));
    struct search search = {0};
    errno = ERANGE;
    EXPECT(os_mappings_visit(find, &search) == -error);
    EXPECT(os_mappings_visit_range(&search, page, find, &search) == -error);
    EXPECT(errno == ERANGE && search.visited == 0);
}

static void visit_unreadable(void *context)
{
    (void)context;
    struct search search = {0};
    expect_filter(filter_syscall(SYS_ioctl, ENOTTY));
    expect_filter(filter_syscall(SYS_read, EIO));
    EXPECT(os_mappings_visit(find, &search) == -EIO);
    EXPECT(os_mappings_visit_range(&search, page, find, &search) == -EIO);
    EXPECT(search.visited == 0);
}

static void error_of_reading_comes_back(void **state)
{
    (void)state;
    int errors[] = {ENOENT, EACCES, EMFILE};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        expect_child(visit_in_sandbox, &errors[i]);
    }
    expect_child(visit_unreadable, NULL);
}

static void no_file_stays_open(void **state)
{
    (void)state;
    struct search search = {0};
    const int free_before = dup(STDIN_FILENO);
    close(free_before);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(os_mappings_visit(find, &search), 0);
        assert_int_equal(os_mappings_visit_range(&search, page, find, &search), 0);
    }
    const int free_after = dup(STDIN_FILENO);
    close(free_after);
    assert_int_equal(free_before, free_after);
}

/* The process's own files are empty then. */
static void *visit_when_main_has_ended(void *context)
{
    (void)context;
    const struct timespec moment = {0, 50 * 1000 * 1000};
    nanosleep(&moment, NULL);
    struct search search = {.address = (uintptr_t)&search};
    EXPECT(os_mappings_visit(find, &search) == 0);
    EXPECT(search.of_it == 1 && search.found.writable);
    search.of_it = 0;
    search.end = 0;
    EXPECT(os_mappings_visit_range(&search, 1, find, &search) == 0);
    EXPECT(search.of_it == 1);
    child_exit(0);
}

static void end_main_thread(void *context)
{
    (void)context;
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, visit_when_main_has_ended, NULL) == 0);
    pthread_exit(NULL);
}

static void mappings_are_there_when_the_main_thread_has_ended(void **state)
{
    (void)state;
    expect_child(end_main_thread, NULL);
}

int main(void)
{
    expect_pages_to_lock("unit.os_maps", os_page_size());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mapping_is_visited_once_and_in_order),
        cmocka_unit_test(bounds_access_and_kind_are_told),
        cmocka_unit_test(locks_are_told),
        cmocka_unit_test(advice_is_told),
        cmocka_unit_test(resident_bytes_are_told),
        cmocka_unit_test(long_path_hides_nothing),
        cmocka_unit_test(visit_stops_when_told),
        cmocka_unit_test(range_is_visited_with_and_without_procmap_query),
        cmocka_unit_test(error_of_reading_comes_back),
        cmocka_unit_test(no_file_stays_open),
        cmocka_unit_test(mappings_are_there_when_the_main_thread_has_ended),
    };
    return cmocka_run_group_tests(tests, find_page_size, NULL);
}
