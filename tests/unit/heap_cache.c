/* SPDX-License-Identifier: ISC */
/* Caches, of threads that come and go. */
#include "heap/magazine.h"

#include <errno.h>

#include "unit/expect.h"
#include "unit/heap_row.h"
#include "unit/os_view.h"

/* ---- threads that end ---- */

static struct cache *seen_cache;

static void live_and_exit(void *context)
{
    (void)context;
    take(20);
    give(0, 10);
    seen_cache = cache_mine;
    heap_thread_exit(heap, cache_mine);
    assert_ptr_equal(cache_mine, &cache_dead);
    /* Destructors that run later. */
    give(10, 20);
    heap_free(heap, keeper_get(heap, SIZE), SIZE);
    assert_ptr_equal(cache_mine, &cache_dead);
}

static void a_threads_end_gives_its_slots_back(void **state)
{
    (void)state;
    layer_in_thread(live_and_exit, NULL);
    assert_int_equal(layer_numbers(heap).all_slots, 0);
    assert_false(seen_cache->in_use);
    assert_int_equal(heap->room_taken, 0);
    layer_check_heap(heap);
    struct cache *before = seen_cache;
    layer_in_thread(live_and_exit, NULL);
    assert_ptr_equal(seen_cache, before); /* taken over */
    layer_check_heap(heap);
    assert_int_equal(layer_numbers(heap).live_bytes, 0);
}

static void the_sentinels_are_never_written_to(void **state)
{
    (void)state;
    layer_in_thread(live_and_exit, NULL);
    assert_true(view_is_all(&cache_dead, sizeof(cache_dead), 0));
    assert_true(view_is_all(&cache_none, sizeof(cache_none), 0));
}

static bool hook_fails(struct cache *cache)
{
    assert_ptr_equal(cache_mine, cache);
    /* Setting a key may itself allocate. */
    heap_free(heap, keeper_get(heap, SIZE), SIZE);
    return false;
}

static void live_without_hearing_of_the_end(void *context)
{
    (void)context;
    take(10);
    assert_ptr_equal(cache_mine, &cache_dead);
    give(0, 10);
}

static void a_thread_that_will_not_hear_of_its_end_gets_no_cache(void **state)
{
    (void)state;
    cache_set_exit_hook(hook_fails);
    layer_in_thread(live_without_hearing_of_the_end, NULL);
    cache_set_exit_hook(NULL);
    assert_int_equal(layer_numbers(heap).all_slots, 0);
    for (struct cache *cache = heap->caches; cache != NULL; cache = cache->next) {
        assert_true(cache == heap->stocks[cache->home] || !cache->in_use);
    }
    layer_check_heap(heap);
}

static void without_memory_for_a_cache_there_is_none(void **state)
{
    (void)state;
    os_faults.only = 1u << CALL_RESERVE;
    take(1); /* the registry's leaf is there, and a cache */
    heap_free(heap, buffers[0], SIZE);
    magazines_flush(heap);
    heap->caches = NULL;
    heap->stocks[0] = NULL;
    cache_mine = &cache_none;
    /* Nothing left in the reservation, and no other to be had. */
    while (heap->pages.bookkeeping.end - heap->pages.bookkeeping.next >=
           (long)sizeof(struct cache)) {
        assert_non_null(bookkeeping_take(&heap->pages.bookkeeping, 4096));
    }
    os_faults_fail(1, true);
    take(20);
    assert_ptr_equal(cache_mine, &cache_none);
    give(0, 20);
    os_faults_fail(0, false);
    take(1);
    assert_ptr_not_equal(cache_mine, &cache_none);
    layer_check_heap(heap);
}

/* ---- shortcuts ---- */

static void the_first_free_in_a_region_remembers_the_way(void **state)
{
    (void)state;
    char *start = keeper_get(heap, 40);
    const struct region *region = heap_place(heap, start).region;
    const struct shortcut *shortcut = cache_shortcut(cache_mine, start);
    assert_true(slot_place(shortcut, start) >= shortcut->places); /* none yet */
    heap_free(heap, start, 40);
    size_t place = ((uintptr_t)start - region->base) / SLOT_ALIGNMENT;
    assert_int_equal(shortcut->base, region->base);
    assert_int_equal(slot_place(shortcut, start), place);
    assert_ptr_equal(shortcut->records + place, heap_place(heap, start).slot.record);
    assert_ptr_equal(shortcut->entries, region->entries);
    size_t places = (region->count << heap->page_shift) / SLOT_ALIGNMENT;
    assert_int_equal(shortcut->places, places);
    /* What is no multiple of 16, and what lies outside, is no place at all. */
    for (size_t i = 1; i < SLOT_ALIGNMENT; i++) {
        assert_true(slot_place(shortcut, start + i) >= places);
    }
    assert_true(slot_place(shortcut, (char *)region->base - SLOT_ALIGNMENT) >= places);
    assert_true(slot_place(shortcut, NULL) >= places);
    const char *region_end = (char *)region->base + (region->count << heap->page_shift);
    assert_true(slot_place(shortcut, region_end) >= places);
}

static void a_shortcut_to_elsewhere_is_replaced(void **state)
{
    (void)state;
    char *start = keeper_get(heap, 40);
    struct shortcut *shortcut = cache_shortcut(cache_mine, start);
    heap_free(heap, start, 40);
    const struct shortcut here = *shortcut;
    /* As after a free in a region whose address has the same place in the table. */
    uintptr_t elsewhere = here.base + ((uintptr_t)SHORTCUTS << REGISTRY_GRANULE_SHIFT);
    *shortcut = (struct shortcut){elsewhere, here.places, NULL, NULL};
    heap_free(heap, keeper_get(heap, 40), 40);
    assert_memory_equal(shortcut, &here, sizeof(here));
    layer_check_heap(heap);
}

/* ---- the stock ---- */

static void remember_nothing(void *context)
{
    heap_free(heap, context, SIZE);
    assert_true(cache_is_real(cache_mine));
}

static void each_homes_stock_is_made_once_and_is_no_threads(void **state)
{
    (void)state;
    assert_null(cache_stock(heap, 0));
    take(1 + HOMES);
    struct cache *stock = cache_stock(heap, 0);
    assert_non_null(stock);
    assert_ptr_not_equal(stock, cache_mine);
    assert_true(stock->in_use); /* else a thread would take it over */
    for (size_t i = 0; i < 1 + HOMES; i++) {
        layer_in_thread(remember_nothing, buffers[i]);
    }
    assert_ptr_equal(cache_stock(heap, 0), stock);
    for (uint32_t home = 0; home < HOMES; home++) {
        assert_int_equal(cache_stock(heap, home)->home, home);
    }
    size_t caches = 0;
    for (struct cache *cache = heap->caches; cache != NULL; cache = cache->next) {
        caches++;
    }
    /* This thread's, and those of threads that did not say that they ended. */
    assert_int_equal(caches, 2 + HOMES + HOMES);
    layer_check_heap(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_threads_end_gives_its_slots_back, fresh, end),
        cmocka_unit_test_setup_teardown(the_sentinels_are_never_written_to, fresh, end),
        cmocka_unit_test_setup_teardown(a_thread_that_will_not_hear_of_its_end_gets_no_cache, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(without_memory_for_a_cache_there_is_none, fresh, end),
        cmocka_unit_test_setup_teardown(the_first_free_in_a_region_remembers_the_way, fresh, end),
        cmocka_unit_test_setup_teardown(a_shortcut_to_elsewhere_is_replaced, fresh, end),
        cmocka_unit_test_setup_teardown(each_homes_stock_is_made_once_and_is_no_threads, fresh,
                                        end),
    };
    return layer_run(tests);
}
