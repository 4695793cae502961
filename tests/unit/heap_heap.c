/* SPDX-License-Identifier: ISC */
#include "heap/heap.h"

#include <errno.h>

#include "unit/expect.h"
#include "unit/heap_model.h"

static struct keeper kept;

/* Small sizes mostly, each border now and then. */
static size_t random_size(void)
{
    switch (model_below(8)) {
    case 0:
        return kept.heap->classes.size_max - 4 + model_below(8);
    case 1:
        return model_below(200000);
    case 2:
    case 3:
        return model_below(5000);
    default:
        return model_below(300);
    }
}

static bool is_allowed(int error)
{
    return error == 0 || (error == -ENOMEM && kept.heap->pages.config.lock_limit != 0);
}

static void step(void)
{
    uint32_t what = model_below(100);
    size_t index = kept.count > 0 ? model_below((uint32_t)kept.count) : 0;
    if (what < 45 && kept.count < BUFFERS_MAX) {
        assert_true(is_allowed(keeper_allocate(&kept, random_size())));
    } else if (what < 48 && kept.count < BUFFERS_MAX) {
        assert_true(is_allowed(keeper_allocate_guarded(&kept, model_below(9000))));
    } else if (what < 53 && kept.count < BUFFERS_MAX) {
        size_t alignment = (size_t)1 << model_below(15);
        assert_true(is_allowed(keeper_allocate_aligned(&kept, alignment, model_below(6000))));
    } else if (what < 68 && kept.count > 0) {
        assert_true(is_allowed(keeper_resize(&kept, index, random_size())));
    } else if (what < 98 && kept.count > 0) {
        keeper_free(&kept, index);
    } else if (what < 99) {
        (void)heap_purge(kept.heap);
    } else {
        (void)heap_trim(kept.heap);
    }
}

static void run_model(uint64_t seed, const struct heap_config *config, unsigned long steps)
{
    model_begin(seed);
    kept = (struct keeper){.heap = layer_heap(config)};
    for (model.step = 1; model.step <= steps; model.step++) {
        step();
        if (model.step % 25 == 0) {
            keeper_check_numbers(&kept);
        }
    }
    layer_check_pages(&kept.heap->pages);
    keeper_free_all(&kept);
    keeper_check_numbers(&kept);
    (void)heap_trim(kept.heap);
    struct heap_numbers numbers = layer_numbers(kept.heap);
    assert_int_equal(numbers.all_slots, 0);
    assert_int_equal(counter_read(&kept.heap->pages.counters.locked), 0);
    layer_check_pages(&kept.heap->pages);
    layer_end_heap(kept.heap);
    model_end();
}

static void random_buffers_keep_their_bytes_and_books_balance(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    for (uint64_t seed = 101; seed <= 104; seed++) {
        run_model(seed, &config, 2500);
    }
    config.pages.purge_limit = 0;
    run_model(105, &config, 1500);
}

static void random_buffers_without_canary_and_check(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    config.canary = false;
    config.check_free = false;
    run_model(111, &config, 2500);
}

static void random_buffers_within_a_lock_limit(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    for (uint64_t seed = 121; seed <= 124; seed++) {
        config.pages.lock_limit = (64u << (seed % 4)) * config.pages.page_size;
        run_model(seed, &config, 2000);
    }
}

/* 64 KiB hold over 1,000 32-byte keys. */
static void small_budget_holds_1100_keys_in_16_pages(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    config.pages.lock_limit = 16 * config.pages.page_size;
    struct heap *heap = layer_heap(&config);
    os_faults.lock_limit = config.pages.lock_limit;
    size_t wanted = 1100 * (config.pages.page_size / 4096);
    int error = 0;
    for (size_t i = 0; i < wanted; i++) {
        assert_non_null(heap_allocate(heap, 32, &error));
    }
    layer_check_heap(heap);
    layer_end_heap(heap);
}

static void no_size_has_the_same_address_twice(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    struct heap *heap = layer_heap(&config);
    int error = 0;
    char *first = heap_allocate(heap, 0, &error);
    char *second = heap_allocate(heap, 0, &error);
    char *guarded = heap_allocate_guarded(heap, 0, &error);
    assert_true(first != NULL && second != NULL && guarded != NULL);
    assert_true(first != second && guarded != first);
    assert_int_equal(heap_size_of(heap, guarded), 0);
    heap_free(heap, first, 0);
    heap_free(heap, second, HEAP_ANY_SIZE);
    heap_free(heap, guarded, 0);
    layer_check_heap(heap);
    layer_end_heap(heap);
}

static void impossible_requests_are_errors_and_change_nothing(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    struct heap *heap = layer_heap(&config);
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 8, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX};
    for (size_t i = 0; i < 4; i++) {
        int error = 0;
        assert_null(heap_allocate(heap, sizes[i], &error));
        assert_int_equal(error, -ENOMEM);
        assert_null(heap_allocate_guarded(heap, sizes[i], &error));
        assert_int_equal(error, -ENOMEM);
        assert_null(heap_allocate_aligned(heap, 4096, sizes[i], &error));
        assert_int_equal(error, -ENOMEM);
    }
    layer_check_heap(heap);
    assert_int_equal(layer_numbers(heap).all_slots, 0);
    layer_end_heap(heap);
}

/* Aligned allocations do not look into the magazine first: what they refill must find room. */
static void aligned_allocations_lose_no_slots(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    for (size_t alignment = 32; alignment <= 4096; alignment *= 2) {
        kept = (struct keeper){.heap = layer_heap(&config)};
        for (size_t i = 0; i < 200; i++) {
            assert_int_equal(keeper_allocate_aligned(&kept, alignment, 20), 0);
            keeper_check_numbers(&kept);
        }
        keeper_free_all(&kept);
        (void)heap_purge(kept.heap);
        keeper_check_numbers(&kept);
        assert_int_equal(layer_numbers(kept.heap).all_slots, 0);
        layer_end_heap(kept.heap);
    }
}

static void purge_and_trim_give_everything_back(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    config.pages.purge_limit = UINT64_C(1) << 40;
    kept = (struct keeper){.heap = layer_heap(&config)};
    for (size_t i = 0; i < BUFFERS_MAX; i++) {
        assert_int_equal(keeper_allocate(&kept, i * 17), 0);
    }
    keeper_free_all(&kept);
    uint64_t locked = counter_read(&kept.heap->pages.counters.locked);
    assert_true(heap_purge(kept.heap) > 0);
    assert_int_equal(counter_read(&kept.heap->pages.counters.dirty), 0);
    assert_int_equal(counter_read(&kept.heap->pages.counters.locked), locked);
    assert_int_equal(heap_trim(kept.heap), locked);
    assert_int_equal(counter_read(&kept.heap->pages.counters.locked), 0);
    layer_check_pages(&kept.heap->pages);
    layer_end_heap(kept.heap);
}

static void owns_its_data_alone(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    struct heap *heap = layer_heap(&config);
    int local = 0;
    char *small = keeper_get(heap, 10);
    char *large = keeper_get(heap, 100000);
    assert_true(heap_owns(heap, small) && heap_owns(heap, small + 5000));
    assert_true(heap_owns(heap, large + 99999));
    assert_false(heap_owns(heap, &local));
    assert_false(heap_owns(heap, heap));
    assert_false(heap_owns(heap, NULL));
    assert_false(heap_owns(heap, (void *)UINTPTR_MAX));
    struct region *region = layer_region(&heap->pages, REGION_SLABS);
    assert_false(heap_owns(heap, region));
    char *base = (char *)region->base;
    size_t size = pages_bytes(&heap->pages, region->count);
    assert_true(heap_owns(heap, base) && heap_owns(heap, base + size - 1));
    assert_false(heap_owns(heap, base - 1));
    layer_end_heap(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(random_buffers_keep_their_bytes_and_books_balance,
                                  model_teardown),
        cmocka_unit_test_teardown(random_buffers_without_canary_and_check, model_teardown),
        cmocka_unit_test_teardown(random_buffers_within_a_lock_limit, model_teardown),
        cmocka_unit_test(small_budget_holds_1100_keys_in_16_pages),
        cmocka_unit_test(no_size_has_the_same_address_twice),
        cmocka_unit_test(impossible_requests_are_errors_and_change_nothing),
        cmocka_unit_test(aligned_allocations_lose_no_slots),
        cmocka_unit_test(purge_and_trim_give_everything_back),
        cmocka_unit_test(owns_its_data_alone),
    };
    return layer_run(tests);
}
