/* SPDX-License-Identifier: ISC */
/* RLIMIT_AS, and the kernel's limit on mappings. */
#include <errno.h>
#include <fcntl.h>
#include <secure_malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/child.h"
#include "api/look.h"
#include "api/well.h"
#include "fault/limits.h"
#include "support/limits.h"

/* ---- RLIMIT_AS ---- */

static void limit_address_space(uint64_t more)
{
    if (SANITIZED) {
        child_skip("the sanitizers' shadow is larger than any limit on address space");
    }
    CHECK(limits_set(RLIMIT_AS, look_status("VmSize") + more) == 0);
}

static void no_address_space_is_ENOMEM(void *context)
{
    (void)context;
    limit_address_space(0);
    CHECK_FAILS(secure_malloc(32), NULL, ENOMEM);
    CHECK_FAILS(secure_malloc_guarded(32), NULL, ENOMEM);
    CHECK_EQUAL(look_at_ours().bytes, 0);
}

/* A region takes what it gets: less than it would like. */
static void little_address_space_is_used(void *context)
{
    (void)context;
    child_needs_to_lock(2048);
    limit_address_space(3 << 20);
    const size_t keys = limits_fill();
    CHECK_EQUAL(errno, ENOMEM);
    CHECK(keys >= 10000);
    check_well();
    limits_empty();
    CHECK(limits_fill() >= keys);
    check_well();
}

static void lowered_to_what_is_used(void *context)
{
    (void)context;
    child_needs_to_lock(1024);
    char *kept = secure_malloc(100000);
    memset(kept, 1, 100000);
    limit_address_space(0);
    CHECK_FAILS(secure_malloc(8 << 20), NULL, ENOMEM);
    CHECK(secure_malloc(32) != NULL || errno == ENOMEM);
    CHECK(kept[0] == 1 && kept[99999] == 1);
    secure_free_sized(kept, 100000);
    check_well();
}

/* ---- vm.max_map_count ---- */

static size_t mappings_allowed(void)
{
    char text[32] = "";
    const int file = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0 && read(file, text, sizeof(text) - 1) > 0);
    close(file);
    return strtoul(text, NULL, 10);
}

/* Pages that cannot be merged with their neighbours, until the kernel says no; `left` are given
 * back. */
static void use_up_mappings(size_t left)
{
    const size_t page = page_size();
    const size_t most = mappings_allowed();
    if (SANITIZED) {
        child_skip("the sanitizers end a process that may map no more");
    }
    if (most > 300000) {
        child_skip("vm.max_map_count is too high to be reached");
    }
    char *pages =
        mmap(NULL, 2 * most * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(pages != MAP_FAILED);
    size_t made = 0;
    while (mprotect(pages + 2 * made * page, page, PROT_READ) == 0) {
        made++;
        CHECK(made < most);
    }
    CHECK_EQUAL(errno, ENOMEM);
    for (size_t i = 0; i < left / 2; i++) {
        made--;
        CHECK(mprotect(pages + 2 * made * page, page, PROT_NONE) == 0);
    }
}

static void no_mapping_left_is_ENOMEM(void *context)
{
    (void)context;
    use_up_mappings(0);
    CHECK_FAILS(secure_malloc(32), NULL, ENOMEM);
    CHECK_FAILS(secure_malloc(100000), NULL, ENOMEM);
    CHECK_FAILS(secure_malloc_guarded(32), NULL, ENOMEM);
    CHECK_EQUAL(stats_now().live_count, 0);
    check_well();
}

/* Opened already: an open region grows without a new mapping, and purges without one. */
static void a_heap_in_use_goes_on(void *context)
{
    (void)context;
    child_needs_to_lock(2048);
    char *guarded = secure_malloc_guarded(100);
    char *large = secure_malloc(100000);
    CHECK(guarded != NULL && large != NULL);
    memset(guarded, 2, 100);
    memset(large, 3, 100000);
    use_heap(100000);
    use_up_mappings(0);
    char *all[500];
    for (int i = 0; i < 500; i++) {
        all[i] = secure_malloc(32);
        CHECK(all[i] != NULL);
    }
    for (int i = 0; i < 500; i++) {
        secure_free(all[i]);
    }
    (void)secure_purge();
    check_well();
    for (int i = 0; i < 200; i++) { /* these need mappings */
        char *one = secure_malloc_guarded(100);
        CHECK(one != NULL || errno == ENOMEM);
        secure_free(i % 2 == 0 ? one : NULL);
    }
    char *moved = secure_realloc(large, 90000);
    CHECK(moved != NULL);
    for (int i = 0; i < 90000; i++) {
        CHECK(moved[i] == 3);
    }
    secure_free_sized(moved, 90000);
    CHECK(guarded[0] == 2 && guarded[99] == 2);
    secure_free_sized(guarded, 100);
    (void)secure_trim();
    check_well();
}

/* A protection splits nothing: a guarded buffer is a mapping already. */
static void protect_at_the_limit_says_so_and_changes_nothing(void *context)
{
    (void)context;
    child_needs_to_lock(1024);
    char *guarded = secure_malloc_guarded(100);
    CHECK(guarded != NULL);
    guarded[0] = 1;
    use_up_mappings(0);
    const int result = secure_protect(guarded, SECURE_READ_ONLY);
    CHECK(result == 0 || errno == ENOMEM);
    CHECK(memcmp(look_at(guarded).access, result == 0 ? "r--p" : "rw-p", 4) == 0);
    CHECK(secure_protect(guarded, SECURE_READ_WRITE) == 0);
    guarded[0] = 2;
    secure_free_sized(guarded, 100);
}

/* At each number of mappings that is left, something else is refused. */
static void any_number_of_mappings_left_is_fine(void *context)
{
    const size_t *left = context;
    child_needs_to_lock(2048);
    use_up_mappings(*left);
    char *small = secure_malloc(32);
    char *large = secure_malloc(100000);
    char *guarded = secure_malloc_guarded(100);
    char *guarded_too = secure_malloc_guarded(5000);
    large = large != NULL ? secure_realloc(large, 20000) : NULL;
    secure_free(guarded);
    (void)secure_purge();
    (void)secure_trim();
    secure_free(small);
    secure_free(large);
    check_well();
    secure_free(guarded_too);
    (void)secure_trim();
    CHECK_EQUAL(stats_now().live_count, 0);
}

static void few_mappings_left(void **state)
{
    (void)state;
    for (size_t left = 2; left <= 14; left += 4) {
        child_must_survive(__func__, any_number_of_mappings_left_is_fine, &left);
    }
}

int limits_address_space(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(no_address_space_is_ENOMEM),
        IN_CHILD(little_address_space_is_used),
        IN_CHILD(lowered_to_what_is_used),
        IN_CHILD(no_mapping_left_is_ENOMEM),
        IN_CHILD(a_heap_in_use_goes_on),
        IN_CHILD(protect_at_the_limit_says_so_and_changes_nothing),
        cmocka_unit_test(few_mappings_left),
    };
    return cmocka_run_group_tests_name("address space", tests, NULL, NULL);
}
