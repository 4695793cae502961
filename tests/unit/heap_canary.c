/* SPDX-License-Identifier: ISC */
#include "heap/canary.h"

#include <string.h>

#include "unit/layer.h"
#include "unit/os_view.h"

enum { END = 64 };

static const struct heap heap = {.canary_key = {.start = UINT64_C(0x0123456789abcdef),
                                                .factor = 0x1d1b5e1,
                                                .set = CANARY_SET,
                                                .keep = CANARY_KEEP}};

static _Alignas(16) unsigned char buffer[END + 16];

static void no_byte_of_a_canary_is_ever_zero(void **state)
{
    (void)state;
    for (uintptr_t address = 0; address < 160000; address += 16) {
        uint64_t word = canary_of(&heap, (const void *)address);
        for (unsigned i = 0; i < 64; i += 8) {
            if ((word >> i & 0xff) == 0) {
                fail();
            }
        }
    }
}

static void neighbours_and_other_keys_have_other_canaries(void **state)
{
    (void)state;
    struct heap other = heap;
    other.canary_key.start++;
    for (uintptr_t address = 16; address < 16000; address += 16) {
        const void *start = (const void *)address;
        assert_int_not_equal(canary_of(&heap, start),
                             canary_of(&heap, (const void *)(address - 16)));
        assert_int_not_equal(canary_of(&heap, start), canary_of(&other, start));
    }
}

static void the_callers_bytes_and_what_lies_behind_stay(void **state)
{
    (void)state;
    uint64_t word = canary_of(&heap, buffer);
    for (size_t size = 0; size <= END; size++) {
        memset(buffer, 0xa5, sizeof(buffer));
        canary_write(buffer, size, END, word);
        assert_true(view_is_all(buffer, size, 0xa5));
        assert_true(view_is_all(buffer + END, 16, 0xa5));
        for (size_t i = size; i < END; i++) {
            unsigned char expected = 0;
            memcpy(&expected, (const char *)&word + i % 8, 1);
            assert_int_equal(buffer[i], expected);
        }
        assert_true(canary_holds(buffer, size, END, word));
    }
}

static void one_changed_byte_anywhere_is_seen(void **state)
{
    (void)state;
    uint64_t word = canary_of(&heap, buffer);
    for (size_t size = 0; size < END; size++) {
        memset(buffer, 0xa5, sizeof(buffer));
        canary_write(buffer, size, END, word);
        for (size_t i = size; i < END; i++) {
            unsigned char was = buffer[i];
            buffer[i] = 0; /* a string's end */
            assert_false(canary_holds(buffer, size, END, word));
            buffer[i] = (unsigned char)(was ^ 0x80);
            assert_false(canary_holds(buffer, size, END, word));
            buffer[i] = was;
        }
        /* The caller's own bytes, and what lies behind, are not looked at. */
        if (size > 0) {
            buffer[size - 1] = (unsigned char)(buffer[size - 1] ^ 0xff);
        }
        buffer[END] = (unsigned char)(buffer[END] ^ 0xff);
        assert_true(canary_holds(buffer, size, END, word));
    }
}

static void without_slack_there_is_nothing_to_hold(void **state)
{
    (void)state;
    memset(buffer, 0xa5, sizeof(buffer));
    canary_write(buffer, END, END, 0);
    assert_true(view_is_all(buffer, sizeof(buffer), 0xa5));
    assert_true(canary_holds(buffer, END, END, 0));
}

static void each_heap_has_a_key_of_its_own(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    struct heap *one = layer_heap(&config);
    struct heap *two = layer_heap(&config);
    assert_int_not_equal(one->canary_key.start, two->canary_key.start);
    assert_int_not_equal(one->canary_key.factor, two->canary_key.factor);
    assert_int_equal(one->canary_key.factor % 2,
                     1); /* an even factor would lose the address's bits */
    layer_end_heap(one);
    layer_end_heap(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_byte_of_a_canary_is_ever_zero),
        cmocka_unit_test(neighbours_and_other_keys_have_other_canaries),
        cmocka_unit_test(the_callers_bytes_and_what_lies_behind_stay),
        cmocka_unit_test(one_changed_byte_anywhere_is_seen),
        cmocka_unit_test(without_slack_there_is_nothing_to_hold),
        cmocka_unit_test(each_heap_has_a_key_of_its_own),
    };
    return layer_run(tests);
}
