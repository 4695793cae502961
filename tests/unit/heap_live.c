/* SPDX-License-Identifier: ISC */
#include "unit/fresh_heap.h"
#include "unit/heap_model.h"

static uint64_t live_in(const char *start, size_t size)
{
    return heap_live_bytes_in(heap, (uintptr_t)start, (uintptr_t)start + size);
}

static void live_bytes_are_those_of_live_buffers(void **state)
{
    (void)state;
    int error = 0;
    uint64_t sum = 0;
    char *freed = keeper_get(heap, 1234);
    const size_t sizes[] = {0, 1, 31, 100, 4000, 30000, 100000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_non_null(keeper_get(heap, sizes[i]));
        assert_non_null(heap_allocate_guarded(heap, sizes[i], &error));
        sum += 2 * sizes[i];
    }
    heap_free(heap, freed, 1234);
    assert_int_equal(heap_live_bytes_in(heap, 0, UINTPTR_MAX), sum);
    assert_int_equal(layer_numbers(heap).live_bytes, sum);
}

static void a_window_cuts_buffers_at_its_edges(void **state)
{
    (void)state;
    int error = 0;
    char *buffers[] = {keeper_get(heap, 1000), keeper_get(heap, 100000),
                       heap_allocate_guarded(heap, 1000, &error)};
    for (size_t i = 0; i < 3; i++) {
        char *start = buffers[i];
        size_t size = heap_size_of(heap, start);
        assert_int_equal(live_in(start, size), size);
        assert_int_equal(live_in(start, 1), 1);
        assert_int_equal(live_in(start + size - 1, 1), 1);
        assert_int_equal(live_in(start + 10, 90), 90);
        assert_int_equal(live_in(start + size, 8), 0); /* the canary is nobody's secret */
        assert_int_equal(live_in(start - 4, 12), 8);
        assert_int_equal(live_in(start, 0), 0);
    }
}

static void claimed_buffers_count_too(void **state)
{
    (void)state;
    char *small = keeper_get(heap, 1000);
    slot_record *record = heap_place(heap, small).slot.record;
    atomic_fetch_or(record, SLOT_CLAIMED);
    assert_int_equal(live_in(small, 5000), 1000);
    atomic_fetch_and(record, (uint16_t)~SLOT_CLAIMED);
    char *large = keeper_get(heap, 100000);
    struct place place = heap_place(heap, large);
    uint64_t claim = large_claim_at(heap, &place, large, false);
    assert_int_equal(live_in(large, 100000), 100000);
    large_unclaim(heap, large_at(heap, place.region, place.first_page), claim);
}

static void overlap_is_the_librarys_data_used_or_not(void **state)
{
    (void)state;
    (void)keeper_get(heap, 10);
    struct region *region = layer_region(&heap->pages, REGION_SLABS);
    size_t size = pages_bytes(&heap->pages, region->count);
    assert_int_equal(heap_overlap(heap, region->base, region->base + size), size);
    assert_int_equal(heap_overlap(heap, region->base - 4096, region->base + 4096), 4096);
    assert_int_equal(heap_overlap(heap, region->base + size - 1, UINTPTR_MAX), 1);
    assert_int_equal(heap_overlap(heap, 0, region->base), 0);
    assert_int_equal(heap_overlap(heap, (uintptr_t)&region, (uintptr_t)(&region + 1)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(live_bytes_are_those_of_live_buffers, fresh, end),
        cmocka_unit_test_setup_teardown(a_window_cuts_buffers_at_its_edges, fresh, end),
        cmocka_unit_test_setup_teardown(claimed_buffers_count_too, fresh, end),
        cmocka_unit_test_setup_teardown(overlap_is_the_librarys_data_used_or_not, fresh, end),
    };
    return layer_run(tests);
}
