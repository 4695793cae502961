/* SPDX-License-Identifier: ISC */
#include "unit/expect.h"
#include "unit/heap_row.h"

static void the_older_half_goes_to_the_stock_while_it_has_room(void **state)
{
    (void)state;
    take(MANY);
    drain();
    uint32_t capacity = heap->classes.at[size_class_of(SIZE)].magazine;
    uint64_t in_slabs = free_slots();
    size_t next = overflow_once(0);
    assert_int_equal(magazine_count(stocked()), capacity / 2);
    for (size_t i = 0; i < capacity / 2; i++) {
        assert_ptr_equal(stocked()->bottom[i].start, buffers[i]); /* the oldest, in order */
        assert_ptr_equal(stocked()->bottom[i].record, heap_place(heap, buffers[i]).slot.record);
    }
    next = overflow_once(next);
    assert_int_equal(magazine_count(stocked()), magazine_capacity(stocked()));
    assert_int_equal(magazine_capacity(stocked()), capacity);
    assert_int_equal(free_slots(), in_slabs);
    /* No room for all of it: none of it. */
    (void)overflow_once(next);
    assert_int_equal(magazine_count(stocked()), capacity);
    assert_int_equal(free_slots(), in_slabs + capacity / 2);
    layer_check_heap(heap);
}

static void an_empty_magazine_takes_from_the_stock_first(void **state)
{
    (void)state;
    take(MANY);
    (void)overflow_once(overflow_once(0));
    uint32_t held = magazine_count(stocked());
    uint32_t half = (magazine_capacity(mine()) + 1) / 2;
    uint64_t in_slabs = free_slots();
    drain();
    char *newest = stocked()->bottom[held - 1].start;
    assert_ptr_equal(keeper_get(heap, SIZE), newest);
    assert_int_equal(magazine_count(stocked()), held - half);
    assert_int_equal(magazine_count(mine()), half - 1);
    assert_int_equal(free_slots(), in_slabs);
    layer_check_heap(heap);
}

struct taken {
    uint32_t wanted;
    uint32_t of_mine, left; /* buffers that this thread freed, and what the stock still has */
};

static void take_from_the_stock(void *context)
{
    struct taken *taken = context;
    for (uint32_t i = 0; i < taken->wanted; i++) {
        char *start = keeper_get(heap, SIZE);
        for (size_t j = 0; j < MANY; j++) {
            taken->of_mine += buffers[j] == start;
        }
    }
    taken->left = magazine_count(stocked());
    heap_thread_exit(heap, cache_mine);
}

static void another_thread_of_its_home_takes_what_one_has_too_many_of(void **state)
{
    (void)state;
    take(MANY);
    drain();
    (void)overflow_once(overflow_once(0));
    struct taken taken = {.wanted = magazine_count(stocked())};
    uint64_t in_slabs = free_slots();
    assert_true(taken.wanted > 0);
    heap->next_home = cache_mine->home;
    layer_in_thread(take_from_the_stock, &taken);
    assert_int_equal(taken.of_mine, taken.wanted);
    assert_int_equal(taken.left, 0);
    assert_int_equal(free_slots(), in_slabs);
    layer_check_heap(heap);
}

static void a_thread_of_another_home_does_not(void **state)
{
    (void)state;
    take(MANY);
    drain();
    (void)overflow_once(overflow_once(0));
    struct taken taken = {.wanted = magazine_count(stocked())};
    layer_in_thread(take_from_the_stock, &taken);
    assert_int_equal(taken.of_mine, 0);
    assert_int_equal(taken.left, taken.wanted);
    layer_check_heap(heap);
}

/* As a consumer of what another produces. */
static void free_all(void *context)
{
    (void)context;
    assert_int_not_equal(cache_own(heap)->home, 0);
    give(0, MANY);
    heap_thread_exit(heap, cache_mine);
}

static void slots_go_to_the_stock_of_their_home(void **state)
{
    (void)state;
    take(MANY);
    drain();
    assert_int_equal(magazine_count(stocked()), 0);
    layer_in_thread(free_all, NULL);
    assert_true(magazine_count(stocked()) > 0);
    for (uint32_t home = 1; home < HOMES; home++) {
        const struct cache *stock = cache_stock(heap, home);
        assert_true(stock == NULL || magazine_count(&stock->magazines[size_class_of(SIZE)]) == 0);
    }
    layer_check_heap(heap);
}

static void take_what_is_stocked(void *context)
{
    (void)context;
    assert_int_not_equal(cache_own(heap)->home, 0);
    for (size_t left = magazine_count(stocked()); left > 0; left--) {
        (void)keeper_get(heap, SIZE);
    }
}

static void locked_slots_of_another_home_come_before_unlocked_pages(void **state)
{
    (void)state;
    static char *starts[8 * MANY];
    size_t count = 0;
    config.pages.best_effort = true;
    config.pages.lock_limit = 32 * config.pages.page_size;
    start_over();
    while (counter_read(&heap->pages.counters.unlocked) == 0) {
        assert_true(count < sizeof(starts) / sizeof(starts[0]));
        starts[count++] = keeper_get(heap, SIZE);
    }
    heap_free(heap, starts[--count], SIZE);
    magazines_flush(heap);
    assert_int_equal(counter_read(&heap->pages.counters.unlocked), 0);
    while (free_slots() > 0) {
        assert_true(count < sizeof(starts) / sizeof(starts[0]));
        starts[count++] = keeper_get(heap, SIZE);
    }
    while (magazine_count(stocked()) == 0) {
        assert_true(count > 0);
        heap_free(heap, starts[--count], SIZE);
    }
    assert_int_equal(free_slots(), 0);
    layer_in_thread(take_what_is_stocked, NULL);
    assert_int_equal(magazine_count(stocked()), 0);
    assert_int_equal(counter_read(&heap->pages.counters.unlocked), 0);
    layer_check_heap(heap);
}

static void without_a_stock_all_goes_to_the_slabs(void **state)
{
    (void)state;
    take(MANY);
    heap->stocks[0] = NULL; /* there was no memory for one */
    give(0, MANY);
    layer_check_heap(heap);
    take(MANY);
    give(0, MANY);
    magazines_flush(heap);
    assert_int_equal(layer_numbers(heap).all_slots, 0);
    layer_check_heap(heap);
}

/* Less could never be used, and would be taken from others. */
static void a_stock_has_room_for_half_a_magazine_or_none(void **state)
{
    (void)state;
    take(MANY);
    drain();
    uint64_t half = magazine_capacity(mine()) / 2;
    uint64_t wanted = half * heap->classes.at[size_class_of(SIZE)].slot_size;
    heap->pages.limit_seen = 16 * (heap->room_taken + wanted - 1);
    size_t next = overflow_once(0);
    assert_int_equal(magazine_capacity(stocked()), 0);
    heap->pages.limit_seen += 16;
    (void)overflow_once(next);
    assert_int_equal(magazine_capacity(stocked()), half);
    assert_int_equal(magazine_count(stocked()), half);
    layer_check_heap(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_older_half_goes_to_the_stock_while_it_has_room, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(an_empty_magazine_takes_from_the_stock_first, fresh, end),
        cmocka_unit_test_setup_teardown(another_thread_of_its_home_takes_what_one_has_too_many_of,
                                        fresh, end),
        cmocka_unit_test_setup_teardown(a_thread_of_another_home_does_not, fresh, end),
        cmocka_unit_test_setup_teardown(slots_go_to_the_stock_of_their_home, fresh, end),
        cmocka_unit_test_setup_teardown(locked_slots_of_another_home_come_before_unlocked_pages,
                                        fresh, end),
        cmocka_unit_test_setup_teardown(without_a_stock_all_goes_to_the_slabs, fresh, end),
        cmocka_unit_test_setup_teardown(a_stock_has_room_for_half_a_magazine_or_none, fresh, end),
    };
    return layer_run(tests);
}
