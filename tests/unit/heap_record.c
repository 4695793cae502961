/* SPDX-License-Identifier: ISC */
#include "heap/record.h"

#include "heap/size_class.h"
#include "support/cmocka.h"

static void a_slots_record_is_its_length_and_never_zero(void **state)
{
    (void)state;
    for (size_t size = 0; size <= SLOT_SIZE_MAX - CANARY_MIN; size++) {
        uint16_t record = slot_record_of(size);
        if (record == 0 || (record & SLOT_CLAIMED) != 0 || slot_record_size(record) != size ||
            slot_record_size(record | SLOT_CLAIMED) != size) {
            fail();
        }
    }
}

static void a_large_record_is_its_length_and_never_zero(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 65535, 65536, (size_t)1 << 40, PTRDIFF_MAX - 1};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t record = large_record_of(sizes[i]);
        assert_true(record != 0 && (record & LARGE_CLAIMED) == 0);
        assert_int_equal(large_record_size(record), sizes[i]);
        assert_int_equal(large_record_size(record | LARGE_CLAIMED), sizes[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slots_record_is_its_length_and_never_zero),
        cmocka_unit_test(a_large_record_is_its_length_and_never_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
