/* SPDX-License-Identifier: ISC */
#include "os/os.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

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

static char *reserved(void)
{
    void *start = NULL;
    return os_pages_reserve(size, page, &start) == 0 ? start : NULL;
}

static char *opened(void)
{
    char *start = reserved();
    int lock_error = -1;
    return start != NULL && os_pages_open(start, size, false, &lock_error) == 0 ? start : NULL;
}

static void touch(void *context)
{
    *(volatile char *)context = 1;
}

static void look(void *context)
{
    volatile char byte = *(volatile char *)context;
    (void)byte;
}

static bool is_inaccessible(char *start)
{
    return memcmp(view_of(start).access, "---p", 4) == 0;
}

static bool is_open(char *start)
{
    return memcmp(view_of(start).access, "rw-p", 4) == 0;
}

/* ---- address space ---- */

static void reservation_is_inaccessible_and_free_of_charge(void **state)
{
    (void)state;
    const unsigned long charged = view_charged();
    char *start = reserved();
    assert_non_null(start);
    assert_true(is_inaccessible(start) && is_inaccessible(start + size - 1));
    assert_int_equal(view_charged(), charged);
    assert_death_with(look, start, SIGSEGV, NULL);
    assert_death_with(look, start + size - 1, SIGSEGV, NULL);
    os_pages_unreserve(start, size);
}

static size_t mapped_bytes(void)
{
    size_t total = 0;
    char line[512];
    FILE *file = fopen("/proc/self/maps", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        unsigned long start = 0;
        unsigned long end = 0;
        if (sscanf(line, "%lx-%lx", &start, &end) == 2) {
            total += end - start;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return total;
}

static void check_alignment(size_t alignment)
{
    void *start = NULL;
    const size_t before = mapped_bytes();
    assert_int_equal(os_pages_reserve(size, alignment, &start), 0);
    assert_int_equal((uintptr_t)start % alignment, 0);
    /* ThreadSanitizer has a thread of its own, which maps memory at any time. */
    assert_true(THREAD_SANITIZED || mapped_bytes() == before + size);
    assert_true(is_inaccessible(start) && is_inaccessible((char *)start + size - 1));
    os_pages_unreserve(start, size);
    assert_true(THREAD_SANITIZED || mapped_bytes() == before);
}

static void reservation_is_aligned_and_the_rest_given_back(void **state)
{
    (void)state;
    mapped_bytes(); /* stdio has its buffers now */
    /* A page more each time, so that the kernel's choice falls on every place between two aligned
     * ones. */
    void *moving[8];
    for (size_t i = 0; i < 8; i++) {
        for (size_t alignment = page; alignment <= 256 * page; alignment *= 2) {
            check_alignment(alignment);
        }
        assert_int_equal(os_pages_reserve(page, page, &moving[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        os_pages_unreserve(moving[i], page);
    }
}

static void impossible_size_is_enomem(void **state)
{
    (void)state;
    void *start = NULL;
    errno = ERANGE;
    assert_int_equal(os_pages_reserve(SIZE_MAX - page + 1, page, &start), -ENOMEM);
    assert_int_equal(os_pages_reserve(SIZE_MAX - page + 1, 16 * page, &start), -ENOMEM);
    assert_int_equal(errno, ERANGE);
}

static void reserve_under_as_limit(void *context)
{
    (void)context;
    void *start = NULL;
    if (limits_set(RLIMIT_AS, mapped_bytes() + 4 * size) != 0) {
        expect_skip("RLIMIT_AS cannot be set");
    }
    EXPECT(os_pages_reserve(16 * size, page, &start) == -ENOMEM);
    EXPECT(os_pages_reserve(size, page, &start) == 0);
}

static void no_address_space_is_enomem(void **state)
{
    (void)state;
    expect_child(reserve_under_as_limit, NULL);
}

static void reserve_under_mcl_future(void *context)
{
    (void)context;
    expect_lock_limit(16 * page);
    EXPECT(syscall(SYS_mlockall, MCL_FUTURE) == 0);
    void *start = NULL;
    const unsigned long charged = view_charged();
    EXPECT(os_pages_reserve(1024 * page, page, &start) == -ENOMEM); /* the kernel says EAGAIN */
    EXPECT(view_charged() == charged);
    EXPECT(os_pages_reserve(size, page, &start) == 0);
    EXPECT(!view_is_locked(start) && view_charged() == charged);
    int lock_error = -1;
    EXPECT(os_pages_open(start, size, false, &lock_error) == 0);
    EXPECT(!view_is_resident(start)); /* on fault, although the process is not */
}

static void reservation_is_not_born_locked(void **state)
{
    (void)state;
    expect_child(reserve_under_mcl_future, NULL);
}

/* ---- open and close ---- */

static void opened_pages_are_locked_on_fault_and_writable(void **state)
{
    (void)state;
    const unsigned long charged = view_charged();
    char *start = reserved();
    int lock_error = -1;
    errno = ERANGE;
    assert_int_equal(os_pages_open(start + page, 2 * page, false, &lock_error), 0);
    assert_int_equal(errno, ERANGE);
    assert_int_equal(lock_error, 0);
    assert_true(is_open(start + page) && view_is_locked_on_fault(start + page));
    assert_int_equal(view_of(start + page).resident, 0);
    assert_int_equal(view_charged(), charged + 2 * page);
    assert_true(is_inaccessible(start) && is_inaccessible(start + 3 * page));
    memset(start + page, FILLED, 2 * page);

    assert_int_equal(os_pages_open(start + 3 * page, page, false, &lock_error), 0);
    assert_int_equal(view_of(start + page).end, (uintptr_t)start + 4 * page); /* merged */
    assert_int_equal(os_pages_close(start + page, 3 * page), 0);
    assert_int_equal(view_charged(), charged);
    os_pages_unreserve(start, size);
}

static void closed_pages_are_reserved_again(void **state)
{
    (void)state;
    const unsigned long charged = view_charged();
    char *start = opened();
    memset(start, FILLED, size);
    assert_int_equal(os_pages_close(start + page, page), 0);
    assert_true(is_inaccessible(start + page));
    assert_false(view_is_locked(start + page));
    assert_int_equal(view_of(start + page).resident, 0);
    assert_int_equal(view_charged(), charged + size - page);
    assert_true(view_is_all(start, page, FILLED));
    assert_true(view_is_all(start + 2 * page, size - 2 * page, FILLED));

    int lock_error = -1;
    assert_int_equal(os_pages_open(start + page, page, false, &lock_error), 0);
    assert_true(view_is_all(start + page, page, 0));
    assert_int_equal(os_pages_close(start, size), 0);
    os_pages_unreserve(start, size);
}

static void open_over_the_limit(void *context)
{
    (void)context;
    char *start = reserved();
    int lock_error = 0;
    expect_lock_limit((PAGES - 1) * page);
    EXPECT(os_pages_open(start, size, false, &lock_error) == -ENOMEM);
    EXPECT(lock_error == -ENOMEM);
    EXPECT(is_inaccessible(start) && is_inaccessible(start + size - 1));
    EXPECT(!view_is_locked(start) && view_charged() == 0);

    EXPECT(os_pages_open(start, size, true, &lock_error) == 0);
    EXPECT(lock_error == -ENOMEM);
    EXPECT(is_open(start) && is_open(start + size - 1) && view_charged() == 0);

    EXPECT(os_pages_close(start, size) == 0);
    EXPECT(os_pages_open(start, size - page, false, &lock_error) == 0);
    EXPECT(lock_error == 0 && view_charged() == size - page);
}

static void open_without_right(void *context)
{
    (void)context;
    char *start = reserved();
    int lock_error = 0;
    expect_lock_limit(0);
    EXPECT(os_pages_open(start, size, false, &lock_error) == -EPERM);
    EXPECT(lock_error == -EPERM && is_inaccessible(start));
    EXPECT(os_pages_open(start, size, true, &lock_error) == 0);
    EXPECT(lock_error == -EPERM && is_open(start) && !view_is_locked(start));
}

static void pages_that_cannot_be_locked_are_not_opened(void **state)
{
    (void)state;
    expect_child(open_over_the_limit, NULL);
    expect_child(open_without_right, NULL);
}

/* As mlockall(MCL_CURRENT) does. It says ENOMEM, because inaccessible pages cannot be populated. */
static void lock_inaccessible(char *start)
{
    assert_int_equal(syscall(SYS_mlock, start, size), -1);
    assert_true(view_is_locked(start) && is_inaccessible(start));
}

static void somebody_s_mlockall_does_not_populate_what_is_opened(void **state)
{
    (void)state;
    char *start = reserved();
    int lock_error = -1;
    lock_inaccessible(start);
    assert_int_equal(os_pages_open(start, size, false, &lock_error), 0);
    assert_true(view_is_locked_on_fault(start) && view_of(start).resident == 0);
    assert_int_equal(os_pages_close(start, size), 0);

    lock_inaccessible(start);
    assert_int_equal(os_pages_open_bookkeeping(start, size), 0);
    assert_true(is_open(start) && !view_is_locked(start) && view_of(start).resident == 0);
    os_pages_unreserve(start, size);
}

static void bookkeeping_is_open_and_not_locked(void **state)
{
    (void)state;
    const unsigned long charged = view_charged();
    char *start = reserved();
    assert_int_equal(os_pages_open_bookkeeping(start, page), 0);
    start[0] = 1;
    assert_true(is_open(start));
    assert_false(view_is_locked(start));
    assert_int_equal(view_charged(), charged);
    assert_true(is_inaccessible(start + page));
    os_pages_unreserve(start, size);
}

/* Uses up vm.max_map_count: every other page of a large reservation is another mapping. */
static void use_up_mappings(void)
{
    unsigned long most = 0;
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    const bool is_known = file != NULL && fscanf(file, "%lu", &most) == 1 && most < 1000000;
    void *start = NULL;
    if (!is_known || os_pages_reserve((most + 64) * page, page, &start) != 0) {
        expect_skip("vm.max_map_count is unknown or too large to be used up");
    }
    fclose(file);
    char *at = start;
    while (mprotect(at, page, PROT_READ) == 0) {
        at += 2 * page;
    }
    EXPECT(errno == ENOMEM);
}

static void work_at_the_limit_on_mappings(void *context)
{
    (void)context;
    char *start = opened();
    memset(start, FILLED, size);
    use_up_mappings();

    EXPECT(os_pages_close(start + 3 * page, page) == -ENOMEM);
    EXPECT(is_open(start + 3 * page) && view_is_locked(start + 3 * page));
    EXPECT(os_pages_protect(start + 3 * page, page, OS_READ_ONLY) == -ENOMEM);
    EXPECT(os_pages_unlock(start + 3 * page, page) == -ENOMEM);
    EXPECT(os_pages_advise(start + 3 * page, page, OS_FORK_WIPE) == -ENOMEM);
    EXPECT(view_is_all(start, size, FILLED));
    EXPECT(view_of(start).end - view_of(start).start == size && view_charged() == size);
}

static void limit_on_mappings_is_enomem_and_changes_nothing(void **state)
{
    (void)state;
    expect_child(work_at_the_limit_on_mappings, NULL);
}

static void work_in_a_sandbox(void *context)
{
    (void)context;
    char *start = reserved();
    void *other = NULL;
    int lock_error = -1;
    expect_filter(filter_syscall(SYS_mprotect, EPERM));
    EXPECT(os_pages_open(start, size, true, &lock_error) == -EPERM);
    EXPECT(is_inaccessible(start) && !view_is_locked(start));
    EXPECT(os_pages_open_bookkeeping(start, size) == -EPERM);
    EXPECT(os_pages_protect(start, size, OS_READ_ONLY) == -EPERM);
    EXPECT(os_pages_close(start, size) == -EPERM);
    expect_filter(filter_syscall(SYS_munlock, ENOSYS));
    expect_filter(filter_madvise(20, EINVAL)); /* MADV_COLD, which says whether there is a lock */
    EXPECT(os_pages_open(start, size, true, &lock_error) == -EPERM);
    EXPECT(os_pages_reserve(size, page, &other) == -EPERM);
    expect_filter(filter_syscall(SYS_mmap, EPERM));
    EXPECT(os_pages_reserve(size, page, &other) == -EPERM);
}

static void what_a_sandbox_forbids_is_eperm(void **state)
{
    (void)state;
    expect_child(work_in_a_sandbox, NULL);
}

static void protect_half_a_page(void *context)
{
    (void)os_pages_protect((char *)context + 1, page, OS_READ_ONLY);
}

static void our_own_mistakes_are_fatal(void **state)
{
    (void)state;
    char *start = opened();
    assert_death_with(protect_half_a_page, start, SIGABRT,
                      "secure_malloc: fatal: unexpected error 22 from mprotect\n");
    assert_int_equal(os_pages_close(start, size), 0);
    os_pages_unreserve(start, size);
}

static void protection_is_as_asked(void **state)
{
    (void)state;
    char *start = opened();
    memset(start, FILLED, size);
    assert_int_equal(os_pages_protect(start, size, OS_READ_ONLY), 0);
    assert_survives_with(look, start);
    assert_death_with(touch, start, SIGSEGV, NULL);
    assert_int_equal(os_pages_protect(start, size, OS_NO_ACCESS), 0);
    assert_death_with(look, start, SIGSEGV, NULL);
    assert_true(view_is_locked(start));
    assert_int_equal(os_pages_protect(start, size, OS_READ_WRITE), 0);
    assert_survives_with(touch, start);
    assert_true(view_is_all(start, size, FILLED));
    assert_int_equal(os_pages_close(start, size), 0);
    os_pages_unreserve(start, size);
}

/* ---- discard and replace ---- */

static void discard_with_and_without_locks(void *context)
{
    const bool without_locked_advice = *(const bool *)context;
    char *start = reserved();
    if (without_locked_advice) {
        expect_filter(filter_madvise(24, EINVAL));
    }
    EXPECT(os_pages_open_bookkeeping(start, size) == 0);
    memset(start, 0, size);
    EXPECT(view_of(start).resident == size);
    os_pages_discard(start, size);
    EXPECT(view_of(start).resident == 0 && view_is_all(start, size, 0));

    memset(start, 0, size);
    EXPECT(syscall(SYS_mlock, start, size) == 0); /* as someone's mlockall would */
    os_pages_discard(start, size);
    EXPECT(view_of(start).resident == 0 && view_is_all(start, size, 0));
}

static void discarded_bookkeeping_is_not_resident(void **state)
{
    (void)state;
    bool without = false;
    expect_child(discard_with_and_without_locks, &without);
    without = true;
    expect_child(discard_with_and_without_locks, &without);
}

/* ---- populating ---- */

static void populated_pages_are_resident_and_keep_what_they_hold(void **state)
{
    (void)state;
    char *start = opened();
    assert_non_null(start);
    start[page] = 'f';
    if (!os_pages_populate(start, size - page)) {
        skip_test("this kernel has no MADV_POPULATE_WRITE (Linux 5.14)");
    }
    for (size_t i = 0; i < PAGES; i++) {
        assert_int_equal(view_is_resident(start + i * page), i < PAGES - 1);
    }
    assert_true(view_is_locked_on_fault(start));
    assert_int_equal(start[page], 'f');
    start[page] = 0;
    assert_true(view_is_all(start, size, 0));
    assert_int_equal(os_pages_close(start, size), 0);
    errno = ERANGE;
    assert_false(os_pages_populate(start, size)); /* nobody may write there */
    assert_int_equal(errno, ERANGE);
    os_pages_unreserve(start, size);
}

static void populate_where_it_is_refused(void *context)
{
    char *start = opened();
    expect_filter(filter_madvise(23, *(const int *)context));
    errno = ERANGE;
    EXPECT(!os_pages_populate(start, size));
    EXPECT(errno == ERANGE);
    EXPECT(view_is_all(start, size, 0));
    memset(start, FILLED, size);
}

static void a_refusal_to_populate_is_said_and_no_more(void **state)
{
    (void)state;
    int errors[] = {EINVAL, ENOSYS, EPERM, ENOMEM};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        expect_child(populate_where_it_is_refused, &errors[i]);
    }
}

static void replaced_range_holds_nothing(void **state)
{
    (void)state;
    const unsigned long charged = view_charged();
    char *start = opened();
    memset(start, FILLED, size);
    assert_true(os_pages_replace(start + page, page, false));
    assert_true(is_inaccessible(start + page));
    assert_false(view_is_locked(start + page));
    assert_int_equal(view_charged(), charged + size - page);
    assert_int_equal(mprotect(start + page, page, PROT_READ), 0);
    assert_true(view_is_all(start + page, page, 0));
    assert_true(view_is_all(start, page, FILLED));
    assert_true(os_pages_replace(start, size, false));
    os_pages_unreserve(start, size);
}

static void replace_leaves_a_foreign_mapping_alone(void **state)
{
    (void)state;
    char *start = reserved();
    assert_int_equal(munmap(start, size), 0); /* as after DONTFORK */
    assert_true(os_pages_replace(start, size, true));
    assert_true(is_inaccessible(start));

    assert_int_equal(munmap(start, size), 0);
    char *foreign = mmap(start + page, page, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    assert_ptr_equal(foreign, start + page);
    memset(foreign, FILLED, page);
    assert_false(os_pages_replace(start, size, true));
    assert_true(view_is_all(foreign, page, FILLED));
    assert_int_equal(view_of(start).end, 0); /* nothing was left behind elsewhere either */
    munmap(foreign, page);
}

static void replace_where_nothing_can_be_mapped(void *context)
{
    (void)context;
    char *start = opened();
    memset(start, FILLED, size);
    expect_filter(filter_syscall(SYS_mmap, ENOMEM));
    EXPECT(os_pages_replace(start, size, false));
    EXPECT(is_inaccessible(start) && !view_is_locked(start) && view_of(start).resident == 0);
    EXPECT(!os_pages_replace(start, size, true));
}

static void replace_closes_what_it_cannot_map_over(void **state)
{
    (void)state;
    expect_child(replace_where_nothing_can_be_mapped, NULL);
}

/* ---- advice and guards ---- */

static void advice_keeps_pages_out_of_core_files_and_out_of_other_hands(void **state)
{
    (void)state;
    char *start = reserved();
    errno = ERANGE;
    assert_int_equal(os_pages_advise(start, size, OS_FORK_KEEP), 0);
    assert_int_equal(errno, ERANGE);
    assert_true(view_has(start, " dd "));
    assert_false(view_has(start, " mg "));
    assert_false(view_has(start, " wf "));
    assert_false(view_has(start, " dc "));
    int lock_error = -1;
    assert_int_equal(os_pages_open(start, size, false, &lock_error), 0);
    assert_true(view_has(start, " dd ")); /* lasts */
    assert_int_equal(os_pages_close(start, size), 0);
    os_pages_unreserve(start, size);
}

static void look_for_filled(void *context)
{
    child_exit(view_is_all(context, size, FILLED) ? 1 : view_is_all(context, size, 0) ? 2 : 3);
}

static struct child_end child_sees(enum os_fork fork)
{
    struct child_end end;
    char *start = reserved();
    int lock_error = -1;
    assert_int_equal(os_pages_advise(start, size, fork), 0);
    assert_int_equal(os_pages_open(start, size, false, &lock_error), 0);
    memset(start, FILLED, size);
    child_run(&end, look_for_filled, start);
    assert_true(view_is_all(start, size, FILLED));
    assert_int_equal(os_pages_close(start, size), 0);
    os_pages_unreserve(start, size);
    return end;
}

static void forked_child_sees_what_the_advice_says(void **state)
{
    (void)state;
    assert_int_equal(child_sees(OS_FORK_KEEP).exit_status, 1);
    assert_int_equal(child_sees(OS_FORK_WIPE).exit_status, 2);
    assert_int_equal(child_sees(OS_FORK_DROP).signal, SIGSEGV);
}

struct refusal {
    int advice;
    int error;
    int told;
};

static void advise_under_refusal(void *context)
{
    const struct refusal *refusal = context;
    char *start = reserved();
    expect_filter(filter_madvise(refusal->advice, refusal->error));
    EXPECT(os_pages_advise(start, size, OS_FORK_WIPE) == refusal->told);
    /* The others were given all the same. */
    EXPECT(view_has(start, " dd ") == (refusal->advice != MADV_DONTDUMP));
    EXPECT(view_has(start, " wf ") == (refusal->advice != MADV_WIPEONFORK));
}

static void only_advice_that_protects_may_not_be_missing(void **state)
{
    (void)state;
    struct refusal refusals[] = {
        {MADV_DONTDUMP, EINVAL, -EINVAL},    {MADV_DONTDUMP, EPERM, -EPERM},
        {MADV_WIPEONFORK, EINVAL, -EINVAL},  {MADV_WIPEONFORK, ENOSYS, -ENOSYS},
        {MADV_WIPEONFORK, EAGAIN, -ENOMEM},  {MADV_NOHUGEPAGE, EINVAL, 0},
        {MADV_UNMERGEABLE, EINVAL, 0},       {MADV_UNMERGEABLE, EPERM, 0},
        {MADV_UNMERGEABLE, ENOMEM, -ENOMEM},
    };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        expect_child(advise_under_refusal, &refusals[i]);
    }
}

static void guard_stands_within_open_locked_memory(void **state)
{
    (void)state;
    char *start = reserved();
    if (!os_guard_install(start + 3 * page, page)) {
        os_pages_unreserve(start, size);
        skip_test("this kernel has no guard pages (Linux 6.13)");
    }
    const unsigned long mappings = view_count_mappings();
    int lock_error = -1;
    assert_int_equal(os_pages_open(start, size, false, &lock_error), 0);
    assert_in_range(view_count_mappings(), 0, mappings + 1 + 64 * THREAD_SANITIZED);
    memset(start, FILLED, 3 * page);
    memset(start + 4 * page, FILLED, size - 4 * page);
    assert_death_with(look, start + 3 * page, SIGSEGV, NULL);
    assert_death_with(touch, start + 4 * page - 1, SIGSEGV, NULL);
    assert_false(os_guard_install(start, page)); /* locked */

    assert_int_equal(os_pages_close(start, size), 0);
    assert_int_equal(os_pages_open(start, size, false, &lock_error), 0);
    assert_death_with(look, start + 3 * page, SIGSEGV, NULL);
    assert_int_equal(os_pages_close(start, size), 0);
    os_pages_unreserve(start, size);
}

static void guard_where_there_is_none(void *context)
{
    char *start = reserved();
    expect_filter(filter_madvise(102, *(const int *)context));
    errno = ERANGE;
    EXPECT(!os_guard_install(start, page));
    EXPECT(errno == ERANGE);
}

static void missing_guards_are_said(void **state)
{
    (void)state;
    int errors[] = {EINVAL, ENOSYS, EPERM, ENOMEM};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        expect_child(guard_where_there_is_none, &errors[i]);
    }
}

int main(void)
{
    expect_pages_to_lock("unit.os_pages", os_page_size());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reservation_is_inaccessible_and_free_of_charge),
        cmocka_unit_test(reservation_is_aligned_and_the_rest_given_back),
        cmocka_unit_test(impossible_size_is_enomem),
        cmocka_unit_test(no_address_space_is_enomem),
        cmocka_unit_test(reservation_is_not_born_locked),
        cmocka_unit_test(opened_pages_are_locked_on_fault_and_writable),
        cmocka_unit_test(closed_pages_are_reserved_again),
        cmocka_unit_test(pages_that_cannot_be_locked_are_not_opened),
        cmocka_unit_test(somebody_s_mlockall_does_not_populate_what_is_opened),
        cmocka_unit_test(bookkeeping_is_open_and_not_locked),
        cmocka_unit_test(limit_on_mappings_is_enomem_and_changes_nothing),
        cmocka_unit_test(what_a_sandbox_forbids_is_eperm),
        cmocka_unit_test(our_own_mistakes_are_fatal),
        cmocka_unit_test(protection_is_as_asked),
        cmocka_unit_test(discarded_bookkeeping_is_not_resident),
        cmocka_unit_test(populated_pages_are_resident_and_keep_what_they_hold),
        cmocka_unit_test(a_refusal_to_populate_is_said_and_no_more),
        cmocka_unit_test(replaced_range_holds_nothing),
        cmocka_unit_test(replace_leaves_a_foreign_mapping_alone),
        cmocka_unit_test(replace_closes_what_it_cannot_map_over),
        cmocka_unit_test(advice_keeps_pages_out_of_core_files_and_out_of_other_hands),
        cmocka_unit_test(forked_child_sees_what_the_advice_says),
        cmocka_unit_test(only_advice_that_protects_may_not_be_missing),
        cmocka_unit_test(guard_stands_within_open_locked_memory),
        cmocka_unit_test(missing_guards_are_said),
    };
    return cmocka_run_group_tests(tests, find_page_size, NULL);
}
