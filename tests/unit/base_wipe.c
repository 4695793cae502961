/* SPDX-License-Identifier: ISC */
#include "base/wipe.h"
#include "heap/slot_shape.h"
#include "support/skip.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "support/cmocka.h"

enum { FILLED = 0xa5, SIZE = 256 };

static _Alignas(16) unsigned char bytes[SIZE];

static void assert_zero_within(size_t from, size_t to)
{
    for (size_t i = 0; i < SIZE; i++) {
        assert_int_equal(bytes[i], i >= from && i < to ? 0 : FILLED);
    }
}

/* Every start and end of a word and a block, and never a byte outside. */
static void check_wipe(void (*function)(void *, size_t))
{
    for (size_t from = 0; from < 40; from++) {
        for (size_t size = 0; size < 80; size++) {
            memset(bytes, FILLED, sizeof(bytes));
            function(bytes + from, size);
            assert_zero_within(from, from + size);
        }
    }
}

static void wipe_clears_exactly_what_it_is_given(void **state)
{
    (void)state;
    check_wipe(wipe);
}

static void racing_wipe_clears_exactly_what_it_is_given(void **state)
{
    (void)state;
    check_wipe(wipe_racing);
}

static void one_byte_anywhere_is_seen(void **state)
{
    (void)state;
    memset(bytes, 0, sizeof(bytes));
    assert_true(wipe_slot_holds(bytes, SIZE));
    for (size_t i = 0; i < SIZE; i++) {
        bytes[i] = (unsigned char)(1U << i % 8);
        assert_false(wipe_slot_holds(bytes, SIZE));
        /* and not before it or behind it */
        size_t block = i / 16 * 16;
        assert_true(block == 0 || wipe_slot_holds(bytes, block));
        assert_true(block + 16 == SIZE || wipe_slot_holds(bytes + block + 16, SIZE - block - 16));
        bytes[i] = 0;
    }
}

static void equal_means_every_byte(void **state)
{
    (void)state;
    unsigned char other[SIZE];
    for (size_t i = 0; i < SIZE; i++) {
        other[i] = bytes[i] = (unsigned char)i;
    }
    assert_true(bytes_equal(bytes, other, SIZE));
    assert_true(bytes_equal(bytes, other, 0));
    for (size_t i = 0; i < SIZE; i++) {
        other[i] ^= (unsigned char)(1U << i % 8);
        assert_false(bytes_equal(bytes, other, SIZE));
        assert_false(bytes_equal(other, bytes, SIZE));
        assert_true(bytes_equal(bytes, other, i));
        other[i] ^= (unsigned char)(1U << i % 8);
    }
    other[0] ^= 0x80;
    other[1] ^= 0x80; /* differences do not cancel */
    assert_false(bytes_equal(bytes, other, SIZE));
}

/*
 * Stores to memory that is about to go out of scope are what a compiler drops. A thread on a stack
 * of ours writes a secret into such memory and wipes it; afterwards the whole stack is searched.
 */
enum { STACK_SIZE = 2 * 1024 * 1024, SECRET_SIZE = 64 };

typedef void ending(void *start, size_t size);

static volatile unsigned char key = 0x5c; /* no copy of the secret in the program's file */

static unsigned char secret_byte(size_t i)
{
    return (unsigned char)(key ^ (i * 7 + 3));
}

static void keep_it(void *start, size_t size)
{
    (void)start;
    (void)size;
}

static __attribute__((noinline)) void use_secret(ending *end)
{
    _Alignas(16) unsigned char secret[SECRET_SIZE];
    for (size_t i = 0; i < sizeof(secret); i++) {
        secret[i] = secret_byte(i);
    }
    __asm__ volatile("" : : "r"(secret) : "memory"); /* used */
    if (end == NULL) {
        shape_wipe(SHAPE_KEY, (char *)secret, (char *)secret + sizeof(secret)); /* as free does */
    } else if (end == wipe) {
        wipe(secret, sizeof(secret));
    } else if (end == wipe_racing) {
        wipe_racing(secret, sizeof(secret));
    }
}

/* So deep in the stack that no later call comes near. */
static __attribute__((noinline)) void use_secret_deep_down(ending *end)
{
    unsigned char room[128 * 1024];
    use_secret(end);
    __asm__ volatile("" : : "r"(room) : "memory");
}

static pthread_barrier_t barrier;

/* The thread lives until its stack was searched: the C library discards a dead one's. */
static void *run_on_own_stack(void *context)
{
    use_secret_deep_down(*(ending **)context);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return NULL;
}

/* All of it: registers that were spilled may hold a part. */
static bool is_left_on_stack(ending *end)
{
    unsigned char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    assert_ptr_not_equal(stack, MAP_FAILED);
    pthread_attr_t attributes;
    pthread_t thread;
    assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, STACK_SIZE), 0);
    assert_int_equal(pthread_create(&thread, &attributes, run_on_own_stack, &end), 0);
    pthread_attr_destroy(&attributes);
    pthread_barrier_wait(&barrier);

    bool is_found = false;
    for (size_t at = 0; at + SECRET_SIZE <= STACK_SIZE && !is_found; at++) {
        size_t same = 0;
        while (same < SECRET_SIZE && stack[at + same] == secret_byte(same)) {
            same++;
        }
        is_found = same >= 8;
    }
    pthread_barrier_wait(&barrier);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_barrier_destroy(&barrier);
    munmap(stack, STACK_SIZE);
    return is_found;
}

/* AddressSanitizer keeps such objects in a stack of its own. */
static bool has_own_stack(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return true;
#elif defined(__has_feature)
    return __has_feature(address_sanitizer);
#else
    return false;
#endif
}

static void wipe_of_dying_memory_is_kept(void **state)
{
    (void)state;
    if (has_own_stack()) {
        skip_test("AddressSanitizer moves what is searched for");
    }
    assert_true(is_left_on_stack(keep_it)); /* the search finds what is there */
    assert_false(is_left_on_stack(wipe));
    assert_false(is_left_on_stack(wipe_racing));
    assert_false(is_left_on_stack(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wipe_clears_exactly_what_it_is_given),
        cmocka_unit_test(racing_wipe_clears_exactly_what_it_is_given),
        cmocka_unit_test(one_byte_anywhere_is_seen),
        cmocka_unit_test(equal_means_every_byte),
        cmocka_unit_test(wipe_of_dying_memory_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
