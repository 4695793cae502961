/* SPDX-License-Identifier: ISC */
#include "pages/registry.h"

#include <errno.h>
#include <string.h>

#include "pages/region.h"
#include "unit/layer.h"

static struct registry registry;
static struct bookkeeping bookkeeping;
static struct region regions[4];

static const uintptr_t GRANULE = REGISTRY_GRANULE;

static int fresh(void **state)
{
    (void)state;
    os_faults_reset();
    memset(&registry, 0, sizeof(registry));
    bookkeeping = (struct bookkeeping){0};
    bookkeeping_init(&bookkeeping, os_page_size());
    return 0;
}

static int add(struct region *region, uintptr_t start, size_t size)
{
    return registry_add(&registry, &bookkeeping, region, start, size);
}

static struct region *find(uintptr_t address)
{
    return registry_find(&registry, (const void *)address);
}

static void an_empty_registry_knows_nothing(void **state)
{
    (void)state;
    int local = 0;
    const uintptr_t asked[] = {0, 1, GRANULE, (uintptr_t)&local, UINTPTR_MAX, UINTPTR_MAX / 2};
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        assert_null(find(asked[i]));
    }
}

static void each_region_is_found_within_its_granules_alone(void **state)
{
    (void)state;
    /* The second lies across the border of two leaves. */
    const uintptr_t border = (uintptr_t)1 << (REGISTRY_GRANULE_SHIFT + REGISTRY_LEAF_BITS);
    const uintptr_t starts[] = {5 * GRANULE, 7 * border - 2 * GRANULE, 9 * border};
    const size_t sizes[] = {GRANULE, 5 * GRANULE, GRANULE / 2 + 7 * GRANULE};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(add(&regions[i], starts[i], sizes[i]), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        uintptr_t end = starts[i] + (sizes[i] + GRANULE - 1) / GRANULE * GRANULE;
        assert_null(find(starts[i] - 1));
        assert_ptr_equal(find(starts[i]), &regions[i]);
        assert_ptr_equal(find(starts[i] + sizes[i] / 2), &regions[i]);
        assert_ptr_equal(find(end - 1), &regions[i]);
        assert_null(find(end));
    }
}

static void addresses_beyond_48_bits_are_nobodys(void **state)
{
    (void)state;
    const uintptr_t end = (uintptr_t)1 << REGISTRY_ADDRESS_BITS;
    assert_int_equal(add(&regions[0], end - GRANULE, GRANULE), 0);
    assert_ptr_equal(find(end - 1), &regions[0]);
    assert_null(find(end));
    assert_null(find(end | (end - 1)));
    assert_int_equal(add(&regions[1], end - 2 * GRANULE, 3 * GRANULE), -ENOMEM);
    assert_null(find(end - 2 * GRANULE));
    assert_ptr_equal(find(end - 1), &regions[0]);
    assert_int_equal(add(&regions[1], end, GRANULE), -ENOMEM);
}

static void without_memory_for_a_leaf_nothing_is_added(void **state)
{
    (void)state;
    const uintptr_t border = (uintptr_t)1 << (REGISTRY_GRANULE_SHIFT + REGISTRY_LEAF_BITS);
    for (unsigned long at = 1; at <= 4; at++) {
        fresh(NULL);
        os_faults.only = 1u << CALL_OPEN_BOOKKEEPING;
        os_faults_fail(at, true);
        int error = add(&regions[0], 3 * border - GRANULE, 2 * GRANULE);
        /* The first page of the reservation, then a leaf each. */
        assert_int_equal(error, at <= 3 ? -ENOMEM : 0);
        assert_true(error == 0 || find(3 * border - GRANULE) == NULL);
        assert_true(error == 0 || find(3 * border) == NULL);
        os_faults_fail(0, false);
        assert_int_equal(add(&regions[0], 3 * border - GRANULE, 2 * GRANULE), 0);
        assert_ptr_equal(find(3 * border - GRANULE), &regions[0]);
        assert_ptr_equal(find(3 * border), &regions[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_registry_knows_nothing, fresh),
        cmocka_unit_test_setup(each_region_is_found_within_its_granules_alone, fresh),
        cmocka_unit_test_setup(addresses_beyond_48_bits_are_nobodys, fresh),
        cmocka_unit_test_setup(without_memory_for_a_leaf_nothing_is_added, fresh),
    };
    return layer_run(tests);
}
