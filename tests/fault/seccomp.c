/* SPDX-License-Identifier: ISC */
/*
 * Kernels and sandboxes that lack what the library prefers: it works all the same, and as safely,
 * whether the call was missing from the start or is taken away while secrets are live.
 */
#include "fault/seccomp.h"

#include <errno.h>
#include <secure_malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/child.h"
#include "api/look.h"
#include "api/well.h"
#include "support/limits.h"
#include "support/seccomp.h"

enum { NATIVE = -1, NO_BATCH = -2 };

struct refusal {
    const char *name;
    int advice; /* of madvise; 0: none */
    int advice_error;
    long call; /* 0: none */
    int call_error;
    int way; /* a SECURE_PURGE_..., or the kernel's own */
    bool leaves_no_guards;
};

static const struct refusal refusals[] = {
    {"nothing", 0, 0, 0, 0, NATIVE, false},
    {"DONTNEED_LOCKED, EINVAL", ADVICE_DONTNEED_LOCKED, EINVAL, 0, 0, SECURE_PURGE_FALLBACK, false},
    {"DONTNEED_LOCKED, EPERM", ADVICE_DONTNEED_LOCKED, EPERM, 0, 0, SECURE_PURGE_FALLBACK, false},
    {"DONTNEED_LOCKED, ENOSYS", ADVICE_DONTNEED_LOCKED, ENOSYS, 0, 0, SECURE_PURGE_FALLBACK, false},
    {"mlock2, ENOSYS", 0, 0, SYS_mlock2, ENOSYS, NATIVE, false},
    {"mlock2, EPERM", 0, 0, SYS_mlock2, EPERM, NATIVE, false},
    {"mlock2, EINVAL", 0, 0, SYS_mlock2, EINVAL, NATIVE, false},
    {"DONTNEED_LOCKED and mlock2", ADVICE_DONTNEED_LOCKED, EINVAL, SYS_mlock2, ENOSYS,
     SECURE_PURGE_FALLBACK, false},
    {"process_madvise, ENOSYS", 0, 0, SYS_process_madvise, ENOSYS, NO_BATCH, false},
    {"process_madvise, EPERM", 0, 0, SYS_process_madvise, EPERM, NO_BATCH, false},
    {"process_madvise, EINVAL", 0, 0, SYS_process_madvise, EINVAL, NO_BATCH, false},
    {"process_madvise, EBADF", 0, 0, SYS_process_madvise, EBADF, NO_BATCH, false},
    {"DONTNEED_LOCKED and process_madvise", ADVICE_DONTNEED_LOCKED, EINVAL, SYS_process_madvise,
     ENOSYS, SECURE_PURGE_FALLBACK, false},
    {"GUARD_INSTALL, EINVAL", ADVICE_GUARD_INSTALL, EINVAL, 0, 0, NATIVE, true},
    {"GUARD_INSTALL, EPERM", ADVICE_GUARD_INSTALL, EPERM, 0, 0, NATIVE, true},
    {"GUARD_INSTALL and mlock2", ADVICE_GUARD_INSTALL, EINVAL, SYS_mlock2, ENOSYS, NATIVE, true},
    {"NOHUGEPAGE, EINVAL", MADV_NOHUGEPAGE, EINVAL, 0, 0, NATIVE, false},
    {"NOHUGEPAGE, EPERM", MADV_NOHUGEPAGE, EPERM, 0, 0, NATIVE, false},
    {"UNMERGEABLE, EINVAL", MADV_UNMERGEABLE, EINVAL, 0, 0, NATIVE, false},
    {"UNMERGEABLE, ENOSYS", MADV_UNMERGEABLE, ENOSYS, 0, 0, NATIVE, false},
    {"WIPEONFORK, which nobody asked for", MADV_WIPEONFORK, EINVAL, 0, 0, NATIVE, false},
    {"DONTFORK, which nobody asked for", MADV_DONTFORK, EPERM, 0, 0, NATIVE, false},
    {"PROCMAP_QUERY", 0, 0, SYS_ioctl, EPERM, NATIVE, false},
    {"mincore", ADVICE_DONTNEED_LOCKED, EINVAL, SYS_mincore, ENOSYS, SECURE_PURGE_FALLBACK, false},
};

void must_be_filtered(int result)
{
    if (result != 0) {
        child_skip("this kernel has no seccomp filters");
    }
}

static void refuse(const struct refusal *refusal)
{
    if (refusal->advice != 0) {
        must_be_filtered(filter_madvise(refusal->advice, refusal->advice_error));
        if (refusal->advice == ADVICE_DONTNEED_LOCKED) {
            must_be_filtered(filter_process_madvise(refusal->advice, refusal->advice_error));
        }
    }
    if (refusal->call != 0) {
        must_be_filtered(filter_syscall(refusal->call, refusal->call_error));
    }
}

/* What this kernel itself does, asked in a process of its own. */
static struct secure_stats native_stats(void)
{
    struct secure_stats stats = {0};
    const pid_t child = fork();
    int status = 0;
    CHECK(child >= 0);
    if (child == 0) {
        char *first = secure_malloc(1);
        CHECK(first != NULL);
        stats = stats_now();
        child_exit((int)(16 | stats.purge_way | (stats.guards << 2)));
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    const unsigned seen = (unsigned)WEXITSTATUS(status);
    CHECK((seen & 16) != 0);
    stats.purge_way = seen & 3;
    stats.guards = (seen >> 2) & 1;
    return stats;
}

static uint32_t way_of(const struct refusal *refusal, uint32_t native)
{
    if (refusal->way == NO_BATCH) {
        return native == SECURE_PURGE_BATCHED ? SECURE_PURGE_LOCKED : native;
    }
    return refusal->way == NATIVE ? native : (uint32_t)refusal->way;
}

/* As much as 64 KiB of locked memory has room for, or plenty. */
static size_t use_size(void)
{
    return limits_need_memlock(2 << 20) ? 600000 : 2500;
}

/* What was written and freed goes back to the kernel. */
static void check_given_back(void)
{
    enum { COUNT = 2 };
    const size_t size = use_size() / 4 + page_size();
    char *all[COUNT];
    for (int i = 0; i < COUNT; i++) {
        all[i] = secure_malloc(size);
        CHECK(all[i] != NULL);
        memset(all[i], 1, size);
    }
    const uint64_t before = look_at_ours().resident;
    for (int i = 0; i < COUNT; i++) {
        secure_free(all[i]);
    }
    (void)secure_purge();
    const uint64_t after = look_at_ours().resident;
    CHECK(before >= after + COUNT * size / 2);
    CHECK_EQUAL(stats_now().dirty_bytes, 0);
}

static void refused_from_the_start(void *context)
{
    const struct refusal *refusal = context;
    const struct secure_stats native = native_stats();
    refuse(refusal);
    use_heap(use_size());
    check_well();
    check_given_back();
    check_well();
    use_heap(use_size());
    (void)secure_trim();
    use_heap(use_size());
    check_well();
    const struct secure_stats stats = stats_now();
    CHECK_EQUAL(stats.purge_way, way_of(refusal, native.purge_way));
    CHECK_EQUAL(stats.guards, native.guards && !refusal->leaves_no_guards);
    CHECK_EQUAL(stats.lock_failures + stats.purge_failures, 0);
    /* Without mlock2 a purge leaves its range unlocked, until it is needed. */
    const bool relocks = refusal->call != SYS_mlock2 || stats.purge_way != SECURE_PURGE_FALLBACK;
    CHECK(!relocks || stats.relock_failures == 0);
}

static void taken_away_later(void *context)
{
    const struct refusal *refusal = context;
    const struct secure_stats native = native_stats();
    char *small = secure_malloc(32);
    const size_t large_size = use_size() > 50000 ? 50000 : 200;
    char *large = secure_malloc(large_size);
    char *guarded = secure_malloc_guarded(100);
    CHECK(small != NULL && large != NULL && guarded != NULL);
    memset(small, 1, 32);
    memset(large, 2, large_size);
    memset(guarded, 3, 100);
    use_heap(use_size() / 2); /* leaves free pages of all sorts */
    CHECK_EQUAL(stats_now().purge_way, native.purge_way);

    refuse(refusal);
    use_heap(use_size());
    check_well();
    check_given_back();
    (void)secure_trim();
    use_heap(use_size());
    check_well();
    CHECK_EQUAL(stats_now().purge_way, way_of(refusal, native.purge_way));
    for (size_t i = 0; i < large_size; i++) {
        CHECK(large[i] == 2 && (i >= 32 || small[i] == 1) && (i >= 100 || guarded[i] == 3));
    }
    secure_free_sized(small, 32);
    secure_free_sized(large, large_size);
    secure_free_sized(guarded, 100);
}

/* ---- rows ---- */

static void works_without_it(void **state)
{
    const struct refusal *refusal = *state;
    struct refusal copy = *refusal;
    child_must_survive(refusal->name, refused_from_the_start, &copy);
}

static void works_after_it_was_taken_away(void **state)
{
    const struct refusal *refusal = *state;
    struct refusal copy = *refusal;
    child_must_survive(refusal->name, taken_away_later, &copy);
}

enum { REFUSALS = sizeof(refusals) / sizeof(refusals[0]) };

static int run_rows(const char *name, CMUnitTestFunction function)
{
    static struct refusal rows[REFUSALS];
    struct CMUnitTest tests[REFUSALS];
    memcpy(rows, refusals, sizeof(rows));
    for (size_t i = 0; i < REFUSALS; i++) {
        tests[i] = (struct CMUnitTest){
            .name = rows[i].name, .test_func = function, .initial_state = &rows[i]};
    }
    return _cmocka_run_group_tests(name, tests, REFUSALS, NULL, NULL);
}

int main(void)
{
    const int failed = run_rows("refused from the start", works_without_it) +
                       run_rows("taken away later", works_after_it_was_taken_away) +
                       seccomp_advice();
    return failed > 0;
}
