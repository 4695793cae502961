/* SPDX-License-Identifier: ISC */
/* The functions that ask, and those that work on bytes and on the heap as a whole. */
#include <errno.h>
#include <pthread.h>
#include <secure_malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/child.h"
#include "api/contract.h"
#include "api/look.h"

static void usable_size_is_what_was_asked_for(void *context)
{
    (void)context;
    CHECK_EQUAL(secure_usable_size(NULL), 0);
    for (size_t size = 0; size < 40000; size += size < 300 ? 1 : 997) {
        char *pointer = secure_malloc(size);
        CHECK_EQUAL(secure_usable_size(pointer), size);
        secure_free_sized(pointer, size);
    }
}

/* ---- owns ---- */

static void owns_nothing_at_first(void *context)
{
    int on_the_stack = 0;
    (void)context;
    CHECK(!secure_owns(NULL));
    CHECK(!secure_owns(&on_the_stack));
    CHECK(!secure_owns((const void *)UINTPTR_MAX));
}

static void owns_its_own_and_nothing_else(void *context)
{
    child_needs_to_lock(2048);
    static int in_data;
    int on_the_stack = 0;
    char *heap = malloc(100);
    char *many = malloc(10 << 20);
    char *small = secure_malloc(32);
    char *large = secure_malloc(1 << 20);
    char *guarded = secure_malloc_guarded(100);
    (void)context;
    CHECK(secure_owns(small) && secure_owns(small + 31));
    CHECK(secure_owns(large) && secure_owns(large + (1 << 20) - 1));
    CHECK(secure_owns(guarded) && secure_owns(guarded + 99));
    const void *const foreign[] = {NULL,
                                   &in_data,
                                   &on_the_stack,
                                   heap,
                                   many,
                                   many + (10 << 20) - 1,
                                   "a literal",
                                   &errno,
                                   (const void *)(uintptr_t)&owns_nothing_at_first,
                                   (const void *)(uintptr_t)1,
                                   (const void *)UINTPTR_MAX,
                                   (const void *)(UINTPTR_MAX / 2),
                                   (const void *)((uintptr_t)1 << 47),
                                   (const void *)((uintptr_t)1 << 63)};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        CHECK(!secure_owns(foreign[i]));
    }
    /* Every bit pattern that an address may have, and some that none has. */
    for (uintptr_t bit = 1; bit != 0; bit <<= 1) {
        (void)secure_owns((const void *)bit);
        (void)secure_owns((const void *)~bit);
    }
    secure_free(small);
    secure_free(large);
    secure_free(guarded);
    CHECK(secure_owns(small)); /* the address space stays ours */
    free(heap);
    free(many);
}

enum { SLOTS = 32, MINE = 100 };

static atomic_bool is_over;

static void *allocate_much(void *context)
{
    char *all[SLOTS] = {NULL};
    (void)context;
    for (size_t i = 0; !atomic_load(&is_over); i++) {
        char **slot = &all[i % SLOTS];
        secure_free(*slot);
        *slot = i % 200 == 0 ? secure_malloc_guarded(64) : secure_malloc(16 + i * 37 % 30000);
        CHECK(*slot != NULL && secure_owns(*slot));
    }
    for (size_t i = 0; i < SLOTS; i++) {
        secure_free(all[i]);
    }
    return NULL;
}

/* New regions appear meanwhile: the tables grow under the questions. */
static void owns_while_threads_allocate(void *context)
{
    pthread_t threads[2];
    int on_the_stack = 0;
    (void)context;
    child_needs_to_lock(7168);
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&threads[i], NULL, allocate_much, NULL) == 0);
    }
    char *mine[MINE];
    for (size_t i = 0; i < MINE; i++) {
        mine[i] = secure_malloc(20000);
        CHECK(mine[i] != NULL);
        for (size_t j = 0; j <= i; j++) {
            CHECK(secure_owns(mine[j] + 19999));
            CHECK(!secure_owns(&on_the_stack) && !secure_owns(NULL));
        }
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* ---- bytes ---- */

static void wipe_zeroes_exactly_what_it_is_told(void *context)
{
    unsigned char bytes[200];
    (void)context;
    for (size_t from = 0; from < 20; from++) {
        for (size_t size = 0; size < 150; size++) {
            memset(bytes, 0xff, sizeof(bytes));
            secure_wipe(bytes + from, size);
            CHECK(is_filled(bytes, from, 0xff));
            CHECK(is_filled(bytes + from, size, 0));
            CHECK(is_filled(bytes + from + size, sizeof(bytes) - from - size, 0xff));
        }
    }
    secure_wipe(NULL, 0);
}

static void equal_sees_every_single_bit(void *context)
{
    unsigned char a[70];
    unsigned char b[70];
    (void)context;
    for (size_t i = 0; i < sizeof(a); i++) {
        a[i] = b[i] = (unsigned char)(i * 7);
    }
    CHECK(secure_equal(a, b, sizeof(a)));
    CHECK(secure_equal(a, b, 0) && secure_equal(NULL, NULL, 0));
    for (size_t i = 0; i < sizeof(a); i++) {
        for (unsigned bit = 1; bit < 256; bit <<= 1) {
            b[i] ^= (unsigned char)bit;
            CHECK(!secure_equal(a, b, sizeof(a)));
            CHECK(secure_equal(a, b, i)); /* what lies behind size is not looked at */
            b[i] ^= (unsigned char)bit;
        }
    }
}

/* ---- the heap as a whole ---- */

static void zeroize_wipes_all_and_breaks_nothing(void *context)
{
    static const size_t sizes[] = {1, 32, 33, 1000, 12000, 100000};
    unsigned char *all[12];
    (void)context;
    child_needs_to_lock(512);
    secure_zeroize(); /* of an empty heap */
    for (size_t i = 0; i < 12; i++) {
        all[i] = i < 6 ? secure_malloc(sizes[i]) : secure_malloc_guarded(sizes[i - 6]);
        memset(all[i], 0xee, sizes[i % 6]);
    }
    secure_zeroize();
    for (size_t i = 0; i < 12; i++) {
        CHECK(is_filled(all[i], sizes[i % 6], 0));
        CHECK_EQUAL(secure_usable_size(all[i]), sizes[i % 6]);
        memset(all[i], 0xdd, sizes[i % 6]);
        secure_free_sized(all[i], sizes[i % 6]); /* the canaries are whole */
    }
}

static void purge_and_trim_of_nothing_are_0(void *context)
{
    (void)context;
    CHECK_EQUAL(secure_purge(), 0);
    CHECK_EQUAL(secure_trim(), 0);
    CHECK(secure_init(NULL) == 0);
    CHECK_EQUAL(secure_purge(), 0);
}

static void purge_gives_pages_and_trim_gives_budget(void *context)
{
    char *all[20];
    (void)context;
    child_needs_to_lock(1024);
    for (int i = 0; i < 20; i++) {
        all[i] = secure_malloc(30000);
        memset(all[i], 1, 30000);
    }
    for (int i = 0; i < 20; i++) {
        secure_free(all[i]);
    }
    struct secure_stats stats = SECURE_STATS_INIT;
    CHECK(secure_stats(&stats) == 0);
    const uint64_t dirty = stats.dirty_bytes;
    const uint64_t locked = stats.locked_bytes;
    CHECK_EQUAL(secure_purge(), dirty);
    CHECK(secure_stats(&stats) == 0);
    CHECK_EQUAL(stats.dirty_bytes, 0);
    CHECK_EQUAL(stats.locked_bytes, locked);
    const size_t budget = secure_trim();
    CHECK(budget >= 20 * 30000);
    CHECK(secure_stats(&stats) == 0);
    CHECK_EQUAL(locked - stats.locked_bytes, budget);
    CHECK_EQUAL(look_at_ours().locked_bytes, stats.locked_bytes);
    for (int i = 0; i < 20; i++) { /* and can be had again */
        all[i] = secure_malloc(30000);
        CHECK(is_filled(all[i], 30000, 0));
    }
}

static void version_is_the_headers(void *context)
{
    char text[32];
    (void)context;
    snprintf(text, sizeof(text), "%d.%d.%d", SECURE_MALLOC_VERSION_MAJOR,
             SECURE_MALLOC_VERSION_MINOR, SECURE_MALLOC_VERSION_PATCH);
    CHECK(strcmp(secure_malloc_version(), text) == 0);
}

int contract_ask(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(usable_size_is_what_was_asked_for),
        IN_CHILD(owns_nothing_at_first),
        IN_CHILD(owns_its_own_and_nothing_else),
        IN_CHILD(owns_while_threads_allocate),
        IN_CHILD(wipe_zeroes_exactly_what_it_is_told),
        IN_CHILD(equal_sees_every_single_bit),
        IN_CHILD(zeroize_wipes_all_and_breaks_nothing),
        IN_CHILD(purge_and_trim_of_nothing_are_0),
        IN_CHILD(purge_gives_pages_and_trim_gives_budget),
        IN_CHILD(version_is_the_headers),
    };
    return cmocka_run_group_tests_name("ask", tests, NULL, NULL);
}
