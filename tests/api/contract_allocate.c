/* SPDX-License-Identifier: ISC */
/* What the allocating functions promise: sizes, alignment, zeros, failures, copies, realloc. */
#include <errno.h>
#include <limits.h>
#include <secure_malloc.h>
#include <stdint.h>
#include <string.h>

#include "api/child.h"
#include "api/contract.h"
#include "api/look.h"

/* Around every edge of the size classes, of a page, and of what is large. */
static const size_t sizes[] = {1,     7,     8,     9,     15,    16,    17,     24,     32,
                               56,    63,    64,    100,   119,   120,   121,    128,    250,
                               264,   265,   511,   520,   521,   1000,  1024,   1033,   2000,
                               4088,  4095,  4096,  4097,  4104,  8192,  9000,   12288,  14336,
                               14337, 16384, 20000, 32744, 32745, 65536, 100001, 1 << 20};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

bool is_filled(const void *from, size_t size, unsigned char byte)
{
    const unsigned char *bytes = from;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != byte) {
            return false;
        }
    }
    return true;
}

static void check_new(const unsigned char *pointer, size_t size)
{
    CHECK(pointer != NULL);
    CHECK_EQUAL((uintptr_t)pointer % 16, 0);
    CHECK_EQUAL(secure_usable_size(pointer), size);
    CHECK(is_filled(pointer, size, 0));
    CHECK(secure_owns(pointer) && secure_owns(pointer + size - 1));
}

/* Twice: the second time from what the first has dirtied. */
static void memory_is_zero_aligned_and_as_large_as_asked(void *context)
{
    (void)context;
    child_needs_to_lock(4096);
    for (int round = 0; round < 2; round++) {
        unsigned char *all[SIZES];
        for (size_t i = 0; i < SIZES; i++) {
            all[i] = secure_malloc(sizes[i]);
            check_new(all[i], sizes[i]);
            memset(all[i], (int)i + 1, sizes[i]);
        }
        for (size_t i = 0; i < SIZES; i++) {
            CHECK(is_filled(all[i], sizes[i], (unsigned char)(i + 1)));
            secure_free_sized(all[i], sizes[i]);
        }
    }
}

static void size_0_is_a_unique_pointer(void *context)
{
    void *all[6] = {secure_malloc(0),
                    secure_malloc(0),
                    secure_calloc(0, 8),
                    secure_calloc(8, 0),
                    secure_aligned_alloc(64, 0),
                    secure_malloc_guarded(0)};
    (void)context;
    for (int i = 0; i < 6; i++) {
        CHECK(all[i] != NULL);
        CHECK_EQUAL(secure_usable_size(all[i]), 0);
        for (int j = 0; j < i; j++) {
            CHECK(all[i] != all[j]);
        }
    }
    for (int i = 0; i < 6; i++) {
        secure_free_sized(all[i], 0);
    }
}

static void impossible_sizes_are_ENOMEM(void *context)
{
    const size_t huge = unknown_size(SIZE_MAX);
    (void)context;
    char *kept = secure_malloc(40);
    memset(kept, 7, 40);
    CHECK_FAILS(secure_malloc(huge), NULL, ENOMEM);
    CHECK_FAILS(secure_malloc(huge / 2 + 1), NULL, ENOMEM);
    CHECK_FAILS(secure_malloc(huge - page_size()), NULL, ENOMEM);
    CHECK_FAILS(secure_malloc_guarded(huge), NULL, ENOMEM);
    CHECK_FAILS(secure_malloc_guarded(huge - 1), NULL, ENOMEM);
    CHECK_FAILS(secure_calloc(huge, 2), NULL, ENOMEM);
    CHECK_FAILS(secure_calloc(huge / 2 + 1, 2), NULL, ENOMEM);
    CHECK_FAILS(secure_calloc(huge / 2, huge / 2), NULL, ENOMEM);
    CHECK_FAILS(secure_memdup(kept, huge), NULL, ENOMEM);
    CHECK_FAILS(secure_realloc(kept, huge), NULL, ENOMEM);
    CHECK_FAILS(secure_realloc(NULL, huge), NULL, ENOMEM);
    CHECK_FAILS(secure_reallocarray(kept, huge / 2 + 1, 2), NULL, ENOMEM);
    CHECK_FAILS(secure_reallocarray(NULL, huge, huge), NULL, ENOMEM);
    CHECK_FAILS(secure_aligned_alloc(64, huge), NULL, ENOMEM);
    CHECK_FAILS(secure_aligned_alloc(huge / 2 + 1, 1), NULL, ENOMEM);
    CHECK(is_filled(kept, 40, 7));
    secure_free_sized(kept, 40);
}

static void success_keeps_errno(void *context)
{
    (void)context;
    child_needs_to_lock(2048);
    errno = EXDEV;
    void *small = secure_malloc(32);
    void *large = secure_malloc(200000);
    void *guarded = secure_malloc_guarded(32);
    large = secure_realloc(large, 300000);
    CHECK_EQUAL(errno, EXDEV);
    secure_free(small);
    secure_free(guarded);
    secure_free_sized(large, 300000);
    secure_free(NULL);
    secure_free_sized(NULL, 9);
    (void)secure_purge();
    (void)secure_trim();
    CHECK_EQUAL(errno, EXDEV);
}

static void calloc_multiplies(void *context)
{
    (void)context;
    unsigned char *pointer = secure_calloc(25, 4);
    check_new(pointer, 100);
    secure_free_sized(pointer, 100);
}

static void realloc_of_NULL_allocates(void *context)
{
    (void)context;
    unsigned char *pointer = secure_realloc(NULL, 100);
    check_new(pointer, 100);
    secure_free(pointer);
    pointer = secure_reallocarray(NULL, 20, 10);
    check_new(pointer, 200);
    secure_free(pointer);
}

static void realloc_to_0_never_frees(void *context)
{
    (void)context;
    child_needs_to_lock(2048);
    for (size_t i = 0; i < SIZES; i++) {
        char *pointer = secure_realloc(secure_malloc(sizes[i]), 0);
        CHECK(pointer != NULL);
        CHECK_EQUAL(secure_usable_size(pointer), 0);
        secure_free_sized(pointer, 0);
    }
}

static void check_resize(size_t from, size_t to)
{
    const size_t least = from < to ? from : to;
    unsigned char *pointer = secure_malloc(from);
    memset(pointer, 0xab, from);
    pointer = secure_realloc(pointer, to);
    CHECK(pointer != NULL);
    CHECK_EQUAL(secure_usable_size(pointer), to);
    CHECK(is_filled(pointer, least, 0xab));
    CHECK(is_filled(pointer + least, to - least, 0)); /* what is new */
    memset(pointer, 0xcd, to);
    pointer = secure_realloc(pointer, from);
    CHECK(pointer != NULL);
    CHECK(is_filled(pointer, least, 0xcd));
    CHECK(is_filled(pointer + least, from - least, 0)); /* not what once was there */
    secure_free_sized(pointer, from);
}

/* Within a slot, between classes, from slab to large and back, large in place and not. */
static void realloc_keeps_bytes_and_grows_with_zeros(void *context)
{
    (void)context;
    child_needs_to_lock(4096);
    for (size_t i = 0; i < SIZES; i++) {
        for (size_t j = 0; j < SIZES; j += 3) {
            check_resize(sizes[i], sizes[j]);
        }
    }
}

/* Between two others a large buffer has to move. */
static void realloc_of_a_large_buffer_moves_where_it_must(void *context)
{
    (void)context;
    child_needs_to_lock(2048);
    unsigned char *all[4];
    for (int i = 0; i < 4; i++) {
        all[i] = secure_malloc(100000);
        memset(all[i], i + 1, 100000);
    }
    for (int i = 0; i < 4; i++) {
        all[i] = secure_realloc(all[i], 300000);
        CHECK(all[i] != NULL);
        CHECK(is_filled(all[i], 100000, (unsigned char)(i + 1)));
        CHECK(is_filled(all[i] + 100000, 200000, 0));
    }
    for (int i = 0; i < 4; i++) {
        secure_free_sized(all[i], 300000);
    }
}

static void reallocarray_multiplies(void *context)
{
    (void)context;
    char *pointer = secure_reallocarray(secure_strdup("0123456789"), 5, 20);
    CHECK_EQUAL(secure_usable_size(pointer), 100);
    CHECK(strcmp(pointer, "0123456789") == 0);
    secure_free(pointer);
}

static void copies_are_copies(void *context)
{
    const char text[] = "a secret";
    (void)context;
    char *whole = secure_strdup(text);
    char *part = secure_strndup(text, 3);
    char *more = secure_strndup(text, SIZE_MAX);
    char *unterminated = secure_strndup((const char[]){'a', 'b'}, 2);
    char *bytes = secure_memdup(text, 4);
    char *none = secure_memdup(NULL, 0);
    char *empty = secure_strdup("");
    CHECK(strcmp(whole, text) == 0 && secure_usable_size(whole) == sizeof(text));
    CHECK(strcmp(part, "a s") == 0 && secure_usable_size(part) == 4);
    CHECK(strcmp(more, text) == 0 && secure_usable_size(more) == sizeof(text));
    CHECK(strcmp(unterminated, "ab") == 0);
    CHECK(memcmp(bytes, text, 4) == 0 && secure_usable_size(bytes) == 4);
    CHECK(none != NULL && secure_usable_size(none) == 0);
    CHECK(empty[0] == '\0' && secure_usable_size(empty) == 1);
    void *all[] = {whole, part, more, unterminated, bytes, none, empty};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        CHECK((uintptr_t)all[i] % 16 == 0 && secure_owns(all[i]));
        secure_free(all[i]);
    }
}

static void check_aligned(size_t alignment, size_t size)
{
    unsigned char *pointer = secure_aligned_alloc(alignment, size);
    CHECK(pointer != NULL);
    CHECK_EQUAL((uintptr_t)pointer % alignment, 0);
    check_new(pointer, size);
    memset(pointer, 1, size);
    pointer = secure_realloc(pointer, size + 1000);
    CHECK(is_filled(pointer, size, 1) && is_filled(pointer + size, 1000, 0));
    secure_free_sized(pointer, size + 1000);
}

static void every_power_of_two_aligns(void *context)
{
    (void)context;
    child_needs_to_lock(1024);
    for (size_t alignment = 1; alignment <= (size_t)4 << 20; alignment *= 2) {
        check_aligned(alignment, 1);
        check_aligned(alignment, 33);
        check_aligned(alignment, 5000);
        check_aligned(alignment, 50000);
    }
}

static void other_alignments_are_EINVAL(void *context)
{
    static const size_t bad[] = {0, 3, 5, 6, 7, 12, 24, 48, 100, 4095, 4097, SIZE_MAX};
    (void)context;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_FAILS(secure_aligned_alloc(unknown_size(bad[i]), 32), NULL, EINVAL);
    }
}

size_t unknown_size(size_t size)
{
    volatile size_t hidden = size;
    return hidden;
}

int contract_allocate(void)
{
    const struct CMUnitTest tests[] = {
        IN_CHILD(memory_is_zero_aligned_and_as_large_as_asked),
        IN_CHILD(size_0_is_a_unique_pointer),
        IN_CHILD(impossible_sizes_are_ENOMEM),
        IN_CHILD(success_keeps_errno),
        IN_CHILD(calloc_multiplies),
        IN_CHILD(realloc_of_NULL_allocates),
        IN_CHILD(realloc_to_0_never_frees),
        IN_CHILD(realloc_keeps_bytes_and_grows_with_zeros),
        IN_CHILD(realloc_of_a_large_buffer_moves_where_it_must),
        IN_CHILD(reallocarray_multiplies),
        IN_CHILD(copies_are_copies),
        IN_CHILD(every_power_of_two_aligns),
        IN_CHILD(other_alignments_are_EINVAL),
    };
    return cmocka_run_group_tests_name("allocate", tests, NULL, NULL);
}
