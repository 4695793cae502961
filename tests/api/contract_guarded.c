/* SPDX-License-Identifier: ISC */
/* Guarded buffers and their protection. */
#include <errno.h>
#include <secure_malloc.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "api/child.h"
#include "api/contract.h"
#include "api/look.h"

static const size_t sizes[] = {0, 1, 15, 16, 17, 32, 100, 4095, 4096, 4097, 100000};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static void end_is_flush_against_the_rear_guard(void *context)
{
    (void)context;
    child_needs_to_lock(512);
    for (size_t i = 0; i < SIZES; i++) {
        unsigned char *pointer = secure_malloc_guarded(sizes[i]);
        CHECK(pointer != NULL);
        CHECK_EQUAL((uintptr_t)pointer % 16, 0);
        CHECK_EQUAL(secure_usable_size(pointer), sizes[i]);
        CHECK(is_filled(pointer, sizes[i], 0));
        const uintptr_t end = (uintptr_t)pointer + sizes[i];
        const uintptr_t past = end % page_size() == 0 ? end : end + page_size() - end % page_size();
        CHECK(sizes[i] == 0 || past - end < 16);
        const struct mapping rear = look_at((const void *)past);
        CHECK(strcmp(rear.access, "---p") == 0);
        CHECK(!rear.is_locked); /* gaps are not charged */
        memset(pointer, 1, sizes[i]);
        secure_free_sized(pointer, sizes[i]);
    }
}

static void front_is_guarded_too(void *context)
{
    (void)context;
    const char *pointer = secure_malloc_guarded(page_size() * 3);
    const struct mapping front = look_at(pointer - 1);
    CHECK(strcmp(front.access, "---p") == 0);
}

static void protection_is_what_the_kernel_shows(void *context)
{
    static const struct {
        enum secure_access access;
        const char *shown;
    } rows[] = {{SECURE_READ_ONLY, "r--p"},  {SECURE_NO_ACCESS, "---p"}, {SECURE_NO_ACCESS, "---p"},
                {SECURE_READ_WRITE, "rw-p"}, {SECURE_NO_ACCESS, "---p"}, {SECURE_READ_ONLY, "r--p"},
                {SECURE_READ_WRITE, "rw-p"}};
    (void)context;
    char *pointer = secure_malloc_guarded(5000);
    memset(pointer, 3, 5000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK(secure_protect(pointer, rows[i].access) == 0);
        const struct mapping first = look_at(pointer);
        const struct mapping last = look_at(pointer + 4999);
        CHECK(memcmp(first.access, rows[i].shown, 4) == 0);
        CHECK(memcmp(last.access, rows[i].shown, 4) == 0);
        CHECK(first.is_locked && last.is_locked);
        CHECK_EQUAL(secure_usable_size(pointer), 5000);
        CHECK(secure_owns(pointer));
    }
    CHECK(is_filled(pointer, 5000, 3));
    secure_free_sized(pointer, 5000);
}

static void protect_of_anything_else_is_EINVAL(void *context)
{
    (void)context;
    child_needs_to_lock(512);
    char *small = secure_malloc(32);
    char *large = secure_malloc(100000);
    char *guarded = secure_malloc_guarded(32);
    CHECK_FAILS(secure_protect(small, SECURE_READ_ONLY), -1, EINVAL);
    CHECK_FAILS(secure_protect(large, SECURE_READ_ONLY), -1, EINVAL);
    CHECK_FAILS(secure_protect(NULL, SECURE_READ_ONLY), -1, EINVAL);
    CHECK_FAILS(secure_protect(guarded, (enum secure_access)3), -1, EINVAL);
    CHECK_FAILS(secure_protect(guarded, (enum secure_access)(-1)), -1, EINVAL);
    small[0] = large[0] = guarded[0] = 1; /* none of them was closed */
    secure_free(small);
    secure_free(large);
    secure_free(guarded);
}

static void write_to_read_only(void *context)
{
    (void)context;
    volatile char *pointer = secure_malloc_guarded(64);
    pointer[0] = 1;
    CHECK(secure_protect(unknown((void *)(uintptr_t)pointer), SECURE_READ_ONLY) == 0);
    CHECK(pointer[0] == 1); /* reading is fine */
    pointer[0] = 2;
}

static void read_of_no_access(void *context)
{
    (void)context;
    const volatile char *pointer = secure_malloc_guarded(64);
    CHECK(secure_protect(unknown((void *)(uintptr_t)pointer), SECURE_NO_ACCESS) == 0);
    (void)pointer[0];
}

static void closed_buffers_fault(void **state)
{
    (void)state;
    assert_death(write_to_read_only, SIGSEGV, NULL);
    assert_death(read_of_no_access, SIGSEGV, NULL);
}

static void free_takes_a_closed_buffer(void *context)
{
    (void)context;
    for (int access = SECURE_NO_ACCESS; access <= SECURE_READ_ONLY; access++) {
        char *pointer = secure_malloc_guarded(200);
        memset(pointer, 9, 200);
        CHECK(secure_protect(pointer, (enum secure_access)access) == 0);
        secure_free(pointer);
        /* The next one of that size takes its place, open and zero. */
        char *next = secure_malloc_guarded(200);
        CHECK(is_filled(next, 200, 0));
        memset(next, 1, 200);
        secure_free_sized(next, 200);
    }
}

static void check_realloc(size_t from, size_t to, enum secure_access access)
{
    const size_t least = from < to ? from : to;
    char *pointer = secure_malloc_guarded(from);
    memset(pointer, 5, from);
    CHECK(secure_protect(pointer, access) == 0);
    pointer = secure_realloc(pointer, to);
    CHECK(pointer != NULL);
    CHECK_EQUAL(secure_usable_size(pointer), to);
    /* It has the access that the old one had, and is still one that can be protected. */
    static const char *const shown[] = {"---p", "r--p", "rw-p"};
    CHECK(memcmp(look_at(to > 0 ? pointer : pointer - 1).access, shown[access], 4) == 0);
    CHECK(secure_protect(pointer, SECURE_READ_WRITE) == 0);
    CHECK(is_filled(pointer, least, 5) && is_filled(pointer + least, to - least, 0));
    const uintptr_t end = (uintptr_t)pointer + to;
    CHECK(to == 0 || end % page_size() == 0 || page_size() - end % page_size() < 16);
    secure_free_sized(pointer, to);
}

static void realloc_keeps_a_buffer_guarded_and_closed(void *context)
{
    (void)context;
    child_needs_to_lock(1024);
    for (int access = SECURE_NO_ACCESS; access <= SECURE_READ_WRITE; access++) {
        for (size_t i = 1; i < SIZES; i++) {
            for (size_t j = 1; j < SIZES; j++) {
                check_realloc(sizes[i], sizes[j], (enum secure_access)access);
            }
        }
    }
}

static void realloc_that_fails_leaves_a_closed_buffer_alone(void *context)
{
    (void)context;
    char *pointer = secure_malloc_guarded(100);
    memset(pointer, 5, 100);
    CHECK(secure_protect(pointer, SECURE_NO_ACCESS) == 0);
    CHECK_FAILS(secure_realloc(pointer, unknown_size(SIZE_MAX / 2)), NULL, ENOMEM);
    CHECK(memcmp(look_at(pointer).access, "---p", 4) == 0);
    CHECK(secure_protect(pointer, SECURE_READ_WRITE) == 0);
    CHECK(is_filled(pointer, 100, 5));
    secure_free_sized(pointer, 100);
}

static void zeroize_opens_wipes_and_closes(void *context)
{
    (void)context;
    for (int access = SECURE_NO_ACCESS; access <= SECURE_READ_WRITE; access++) {
        static const char *const shown[] = {"---p", "r--p", "rw-p"};
        char *pointer = secure_malloc_guarded(100);
        memset(pointer, 5, 100);
        CHECK(secure_protect(pointer, (enum secure_access)access) == 0);
        secure_zeroize();
        CHECK(memcmp(look_at(pointer).access, shown[access], 4) == 0);
        CHECK(secure_protect(pointer, SECURE_READ_WRITE) == 0);
        CHECK(is_filled(pointer, 100, 0));
        secure_free_sized(pointer, 100);
    }
}

int contract_guarded(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(end_is_flush_against_the_rear_guard),
        IN_CHILD(front_is_guarded_too),
        IN_CHILD(protection_is_what_the_kernel_shows),
        IN_CHILD(protect_of_anything_else_is_EINVAL),
        cmocka_unit_test(closed_buffers_fault),
        IN_CHILD(free_takes_a_closed_buffer),
        IN_CHILD(realloc_keeps_a_buffer_guarded_and_closed),
        IN_CHILD(realloc_that_fails_leaves_a_closed_buffer_alone),
        IN_CHILD(zeroize_opens_wipes_and_closes),
    };
    return cmocka_run_group_tests_name("guarded", tests, NULL, NULL);
}
