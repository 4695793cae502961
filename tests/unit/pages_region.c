/* SPDX-License-Identifier: ISC */
#include "pages/region.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "unit/expect.h"
#include "unit/fresh_pages.h"
#include "unit/layer.h"
#include "unit/os_view.h"

static const size_t MIB = 1024 * 1024;

static struct region *reserve(enum region_kind kind, size_t size)
{
    struct region *region = NULL;
    assert_int_equal(region_reserve(pages, kind, size, size, &region), 0);
    return region;
}

static void touch(void *context)
{
    *(volatile char *)context = 1;
}

static void data_is_aligned_inaccessible_unlocked_and_found(void **state)
{
    (void)state;
    for (int kind = REGION_SLABS; kind <= REGION_LARGE; kind++) {
        struct region *region = reserve((enum region_kind)kind, 3 * MIB);
        char *data = region_page(region, 0, pages->page_shift);
        assert_int_equal(region->base % REGISTRY_GRANULE, 0);
        assert_int_equal(pages_bytes(pages, region->count), 3 * MIB);
        assert_ptr_equal(registry_find(&pages->registry, data), region);
        assert_ptr_equal(registry_find(&pages->registry, data + 3 * MIB - 1), region);
        assert_memory_equal(view_of(data).access, "---p", 4);
        assert_false(view_is_locked(data));
        assert_true(view_has(data, " dd "));
        assert_int_equal(layer_open_unlocked(pages), 0);
    }
    layer_check_pages(pages);
}

static void bookkeeping_lies_between_guards_and_is_not_dumped(void **state)
{
    (void)state;
    for (int kind = REGION_SLABS; kind <= REGION_LARGE; kind++) {
        struct region *region = reserve((enum region_kind)kind, MIB);
        char *data = region_page(region, 0, pages->page_shift);
        char *end_of_bookkeeping = data - config.page_size;
        assert_true(view_has(region, " dd "));
        assert_false(view_is_locked(region));
        assert_int_equal(view_of(region).end, (uintptr_t)end_of_bookkeeping);
        assert_death_with(touch, (char *)region - 1, SIGSEGV, NULL);
        assert_death_with(touch, data - 1, SIGSEGV, NULL);
        assert_death_with(touch, end_of_bookkeeping, SIGSEGV, NULL);
        assert_death_with(touch, data + MIB, SIGSEGV, NULL);
        assert_survives_with(touch, end_of_bookkeeping - 1);
    }
}

static void parts_of_the_bookkeeping_do_not_overlap(void **state)
{
    (void)state;
    for (size_t size = config.page_size; size < 4 * MIB; size = size * 3 + config.page_size) {
        size -= size % config.page_size;
        struct region *region = reserve(REGION_SLABS, size);
        size_t count = region->count;
        size_t chunks = (count + CHUNK_PAGES - 1) / CHUNK_PAGES;
        char *entries = (char *)(uintptr_t)region->entries;
        assert_true(entries >= (char *)(region + 1));
        assert_true((char *)region->chunks >= entries + count * sizeof(page_entry));
        assert_true(region->owners >= (char *)(region->chunks + chunks));
        assert_true(region->records >= region->owners + count * config.owner_stride);
        assert_true(region->records + count * config.records_stride <=
                    (char *)region->base - config.page_size);
        assert_int_equal((uintptr_t)region->owners % config.page_size, 0);
        assert_int_equal((uintptr_t)region->records % config.page_size, 0);
        /* All of it can be written. */
        memset(region->records, 0, count * config.records_stride);

        struct region *large = reserve(REGION_LARGE, size);
        assert_true(large->owners >= (char *)(large->extents + count));
        assert_true(large->owners + count * config.owner_stride <=
                    (char *)large->base - config.page_size);
    }
    layer_check_books(pages);
}

static void without_room_the_size_is_halved_down_to_the_least(void **state)
{
    (void)state;
    struct region *region = NULL;
    os_faults.only = 1u << CALL_RESERVE;
    os_faults_fail(1, true);
    assert_int_equal(region_reserve(pages, REGION_SLABS, 16 * MIB, MIB, &region), -ENOMEM);
    assert_int_equal(os_faults.calls, 5); /* 16, 8, 4, 2, 1 MiB */
    os_faults_fail(1, false);
    assert_int_equal(region_reserve(pages, REGION_SLABS, 16 * MIB, MIB, &region), 0);
    assert_int_equal(pages_bytes(pages, region->count), 8 * MIB);
    assert_int_equal(pages->last_size[REGION_SLABS], 8 * MIB);
    os_faults_fail(1, false);
    assert_int_equal(region_reserve(pages, REGION_SLABS, 3 * MIB, 3 * MIB, &region), -ENOMEM);
    layer_check_books(pages);
}

static void regions_double(void **state)
{
    (void)state;
    size_t size = 0;
    os_faults.lock_limit = UINT64_MAX;
    for (size_t i = 0; i < 5; i++) {
        struct run run;
        uint64_t reserved = counter_read(&pages->counters.reserved);
        while (counter_read(&pages->counters.reserved) == reserved) {
            assert_int_equal(layer_take(pages, RUN_PAGES_MAX, &run), 0);
        }
        size_t now = pages_bytes(pages, layer_region(pages, REGION_SLABS)->count);
        assert_int_equal(now, size == 0 ? MIB : 2 * size);
        size = now;
    }
    layer_check_books(pages);
}

static void a_failure_leaves_no_mapping_behind(void **state)
{
    (void)state;
    struct region *region = reserve(REGION_SLABS, MIB); /* the registry has its leaf */
    size_t reserved = os_faults.reserved;
    const uint32_t calls[] = {CALL_RESERVE, CALL_ADVISE, CALL_OPEN_BOOKKEEPING};
    for (size_t i = 0; i < 3; i++) {
        os_faults.only = 1u << calls[i];
        /* The first advice is the bookkeeping's, and only the second one counts. */
        os_faults_fail(calls[i] == CALL_ADVISE ? 2 : 1, true);
        assert_int_equal(region_reserve(pages, REGION_SLABS, MIB, MIB, &region), -ENOMEM);
        assert_int_equal(os_faults.reserved, reserved);
        layer_check_books(pages);
    }
    os_faults_fail(0, false);
    assert_int_equal(region_reserve(pages, REGION_SLABS, MIB, MIB, &region), 0);
}

static void advice_that_is_missing_goes_through_the_lock_policy(void **state)
{
    (void)state;
    struct region *region = NULL;
    os_faults.only = 1u << CALL_ADVISE;
    os_faults.error = -EINVAL;
    os_faults_fail(2, true);
    assert_int_equal(region_reserve(pages, REGION_SLABS, MIB, MIB, &region), -EPERM);
    assert_int_equal(counter_read(&pages->counters.lock_failures), 1);
    assert_null(layer_region(pages, REGION_SLABS));
    pages->config.best_effort = true;
    os_faults_fail(1, true);
    assert_int_equal(region_reserve(pages, REGION_SLABS, MIB, MIB, &region), 0);
    assert_int_equal(counter_read(&pages->counters.lock_failures), 2);
}

static void records_of_many_pages_are_made_resident_at_once(void **state)
{
    (void)state;
    struct region *region = reserve(REGION_SLABS, 8 * MIB);
    size_t each = config.page_size / config.records_stride; /* pages that a page of them is for */
    region_warm(pages, region, 0, each);
    assert_int_equal(os_faults.count[CALL_POPULATE], 0); /* one page: one fault, one call */
    region_warm(pages, region, each + each - 1, 2);
    assert_int_equal(os_faults.count[CALL_POPULATE], 1);
    if (!view_is_resident(region->records + config.page_size)) {
        skip_test("this kernel has no MADV_POPULATE_WRITE (Linux 5.14)");
    }
    assert_false(view_is_resident(region->records));
    assert_true(view_is_resident(region->records + 2 * config.page_size));
    assert_false(view_is_resident(region->records + 3 * config.page_size));
    assert_true(view_is_all(region->records, 4 * config.page_size, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(data_is_aligned_inaccessible_unlocked_and_found, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(bookkeeping_lies_between_guards_and_is_not_dumped, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(parts_of_the_bookkeeping_do_not_overlap, fresh, end),
        cmocka_unit_test_setup_teardown(without_room_the_size_is_halved_down_to_the_least, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(regions_double, fresh, end),
        cmocka_unit_test_setup_teardown(a_failure_leaves_no_mapping_behind, fresh, end),
        cmocka_unit_test_setup_teardown(advice_that_is_missing_goes_through_the_lock_policy, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(records_of_many_pages_are_made_resident_at_once, fresh,
                                        end),
    };
    return layer_run(tests);
}
