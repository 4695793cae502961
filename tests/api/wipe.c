/* SPDX-License-Identifier: ISC */
/* A secret is in the buffer it was put into, and after that nowhere: not in memory, not in a core
 * file. */
#include "api/wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <secure_malloc.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/child.h"
#include "api/look.h"
#include "api/secret.h"

/* The scan itself: what is there is found, in whatever sort of memory, and what is not is not. */
static void a_secret_that_is_there_is_found(void *context)
{
    static char in_data[SECRET_SIZE];
    (void)context;
    secret_make();
    CHECK_EQUAL(secret_count(), 0);
    secret_write(in_data);
    CHECK_EQUAL(secret_count(), 1);
    char on_the_stack[SECRET_SIZE];
    secret_write(on_the_stack);
    CHECK_EQUAL(secret_count(), 2);
    char *mapped = mmap(NULL, 3 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    secret_write(mapped + (1 << 20) - 7); /* across the scan's steps */
    secret_write(mapped + (3 << 20) - SECRET_SIZE);
    CHECK_EQUAL(secret_count(), 4);
    CHECK(mprotect(mapped, 3 << 20, PROT_NONE) == 0);
    CHECK_EQUAL(secret_count(), 4);
    secure_wipe(in_data, sizeof(in_data));
    secure_wipe(on_the_stack, sizeof(on_the_stack));
    CHECK_EQUAL(secret_count(), 2);
}

struct sort {
    size_t size;
    bool is_guarded;
};

static const struct sort sorts[] = {{32, false},    {100, false},    {1000, false}, {5000, false},
                                    {14000, false}, {100000, false}, {32, true},    {9000, true}};
enum { SORTS = sizeof(sorts) / sizeof(sorts[0]) };

/* Filled with it from end to end. */
static char *take(const struct sort *sort, size_t *copies)
{
    char *buffer = sort->is_guarded ? secure_malloc_guarded(sort->size) : secure_malloc(sort->size);
    CHECK(buffer != NULL);
    *copies = sort->size / SECRET_SIZE;
    for (size_t i = 0; i < *copies; i++) {
        secret_write(buffer + i * SECRET_SIZE);
    }
    CHECK_EQUAL(secret_count(), *copies);
    return buffer;
}

static void nothing_is_left_after_free(void *context)
{
    size_t copies = 0;
    (void)context;
    child_needs_to_lock(512);
    secret_make();
    for (size_t i = 0; i < SORTS; i++) {
        secure_free(take(&sorts[i], &copies));
        CHECK_EQUAL(secret_count(), 0);
    }
}

static void nothing_is_left_after_free_of_a_closed_buffer(void *context)
{
    size_t copies = 0;
    (void)context;
    secret_make();
    char *guarded = take(&sorts[6], &copies);
    CHECK(secure_protect(guarded, SECURE_NO_ACCESS) == 0);
    CHECK_EQUAL(secret_count(), 1);
    secure_free(guarded);
    CHECK_EQUAL(secret_count(), 0);
}

/* Each secret is there once: at the new place, and no longer at the old. */
static void realloc_leaves_no_second_copy(void *context)
{
    size_t copies = 0;
    (void)context;
    child_needs_to_lock(2048);
    secret_make();
    for (size_t i = 0; i < SORTS; i++) {
        char *buffer = take(&sorts[i], &copies);
        for (size_t size = sorts[i].size + 8; size < 20 * sorts[i].size; size *= 3) {
            buffer = secure_realloc(buffer, size);
            CHECK(buffer != NULL);
            CHECK_EQUAL(secret_count(), copies);
        }
        secure_free(buffer);
        CHECK_EQUAL(secret_count(), 0);
    }
}

static void realloc_wipes_what_is_cut_off(void *context)
{
    size_t copies = 0;
    (void)context;
    child_needs_to_lock(512);
    secret_make();
    for (size_t i = 0; i < SORTS; i++) {
        char *buffer = take(&sorts[i], &copies);
        for (size_t size = sorts[i].size / 2; size > 0; size /= 3) {
            buffer = secure_realloc(buffer, size);
            CHECK(buffer != NULL);
            CHECK_EQUAL(secret_count(), size / SECRET_SIZE);
        }
        buffer = secure_realloc(buffer, 0);
        CHECK_EQUAL(secret_count(), 0);
        secure_free(buffer);
    }
}

static void zeroize_leaves_nothing(void *context)
{
    size_t copies = 0;
    char *all[SORTS];
    (void)context;
    child_needs_to_lock(512);
    secret_make();
    for (size_t i = 0; i < SORTS; i++) {
        all[i] = take(&sorts[i], &copies);
        if (sorts[i].is_guarded) {
            CHECK(secure_protect(all[i], SECURE_NO_ACCESS) == 0);
        }
        secure_zeroize();
        CHECK_EQUAL(secret_count(), 0);
    }
    for (size_t i = 0; i < SORTS; i++) {
        secure_free(all[i]);
    }
}

/* Purged, and taken again, by another owner: there is no way back to it. */
static void nothing_is_left_after_purge_and_trim(void *context)
{
    size_t copies = 0;
    (void)context;
    child_needs_to_lock(512);
    secret_make();
    for (size_t i = 0; i < SORTS; i++) {
        secure_free(take(&sorts[i], &copies));
        (void)(i % 2 == 0 ? secure_purge() : secure_trim());
        CHECK_EQUAL(secret_count(), 0);
        char *next = secure_calloc(1, sorts[i].size);
        for (size_t j = 0; j < sorts[i].size; j++) {
            CHECK(next[j] == 0);
        }
        secure_free(next);
    }
}

/* What a copy leaves in vector registers, the sanitizers' calls save on the stack. */
static void copies_are_in_our_memory_alone(void *context)
{
    (void)context;
    if (SANITIZED) {
        child_skip("the sanitizers leave copies of registers on the stack");
    }
    secret_make();
    char *first = secure_malloc(SECRET_SIZE);
    secret_write(first);
    char *second = secure_memdup(first, SECRET_SIZE);
    char *third = secure_strndup(first, SECRET_SIZE); /* no byte of it is 0: see secret_make */
    CHECK(secure_equal(first, second, SECRET_SIZE));
    CHECK_EQUAL(secret_count(), 3);
    secure_free(first);
    secure_free(second);
    secure_free(third);
    CHECK_EQUAL(secret_count(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(a_secret_that_is_there_is_found),
        IN_CHILD(nothing_is_left_after_free),
        IN_CHILD(nothing_is_left_after_free_of_a_closed_buffer),
        IN_CHILD(realloc_leaves_no_second_copy),
        IN_CHILD(realloc_wipes_what_is_cut_off),
        IN_CHILD(zeroize_leaves_nothing),
        IN_CHILD(nothing_is_left_after_purge_and_trim),
        IN_CHILD(copies_are_in_our_memory_alone),
        cmocka_unit_test(wipe_core_file_has_no_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
