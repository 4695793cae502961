/* SPDX-License-Identifier: ISC */
#include "unit/expect.h"
#include "unit/heap_row.h"

enum { OTHER_SIZE = 1000 };

/* More than a magazine and the stock hold, so slots move from slabs and back. */
static void use_another_size(void)
{
    char *others[MANY];
    for (size_t i = 0; i < MANY; i++) {
        others[i] = keeper_get(heap, OTHER_SIZE);
    }
    for (size_t i = 0; i < MANY; i++) {
        heap_free(heap, others[i], OTHER_SIZE);
    }
}

/* Both the thread's magazine and the stock hold some. */
static void fill_both(void)
{
    take(MANY);
    give(0, MANY);
    assert_true(magazine_count(mine()) > 0 && magazine_count(stocked()) > 0);
}

static void what_nobody_uses_goes_back_to_the_slabs(void **state)
{
    (void)state;
    fill_both();
    for (size_t i = 0; i < 10; i++) {
        use_another_size();
    }
    assert_int_equal(magazine_capacity(mine()), 0);
    assert_int_equal(magazine_capacity(stocked()), 0);
    assert_int_equal(counter_read(&heap->slabs[size_class_of(SIZE)].all_slots), 0);
    /* Those in use keep their room. */
    assert_true(magazine_capacity(&cache_mine->magazines[size_class_of(OTHER_SIZE)]) > 0);
    layer_check_heap(heap);
}

static void a_stock_that_holds_nothing_gives_its_room_back(void **state)
{
    (void)state;
    fill_both();
    while (magazine_count(stocked()) > 0) {
        (void)keeper_get(heap, SIZE);
    }
    assert_true(magazine_capacity(stocked()) > 0);
    for (size_t i = 0; i < 10; i++) {
        use_another_size();
    }
    assert_int_equal(magazine_capacity(stocked()), 0);
    layer_check_heap(heap);
}

/* Looks at some of the classes: they have gone round every few times. */
static void have_some_looks(void)
{
    for (size_t i = 0; i < 30; i++) {
        (void)keeper_get(heap, OTHER_SIZE);
    }
}

static void what_is_in_use_stays_and_so_does_its_stock(void **state)
{
    (void)state;
    fill_both();
    uint32_t held = magazine_count(stocked());
    uint32_t many = magazine_count(mine());
    for (uint32_t i = 0; i < many; i++) {
        have_some_looks();
        (void)keeper_get(heap, SIZE);
        assert_int_equal(magazine_count(mine()), many - 1 - i);
        assert_int_equal(magazine_count(stocked()), held);
    }
    layer_check_heap(heap);
}

static void exchange_with_the_stock(void *context)
{
    (void)context;
    take(MANY);
    give(0, MANY);
    heap_thread_exit(heap, cache_mine);
}

static void a_stock_that_others_use_stays(void **state)
{
    (void)state;
    fill_both();
    for (size_t i = 0; i < 20; i++) {
        have_some_looks();
        assert_true(magazine_count(stocked()) > 0);
        heap->next_home = cache_mine->home;
        layer_in_thread(exchange_with_the_stock, NULL);
    }
    assert_int_equal(magazine_capacity(mine()), 0);
    /* And when they do not any more, it goes, though this thread never had anything of it since. */
    for (size_t i = 0; i < 20; i++) {
        have_some_looks();
    }
    assert_int_equal(magazine_capacity(stocked()), 0);
    layer_check_heap(heap);
}

/* Returns what moved has come to. */
static int64_t look(void)
{
    cache_mine->moved = INT32_MAX;
    magazines_look_for_idle(heap);
    return cache_mine->moved;
}

/* So one look does not lead to the next, however many sizes are in use. */
static void what_a_look_empties_counts_against_the_next(void **state)
{
    (void)state;
    fill_both();
    uint32_t own = magazine_count(mine());
    uint32_t in_stock = magazine_count(stocked());
    assert_int_equal(look(), 0); /* all have been in use */
    assert_int_equal(look(), -(int64_t)own);
    assert_int_equal(look(), -(int64_t)in_stock);
    assert_int_equal(look(), 0);
    assert_int_equal(cache_mine->roomy | heap->stocks[0]->roomy, 0);
    layer_check_heap(heap);
}

/* ---- what counts as use ---- */

/* One class, and so many bytes more or less. */
enum { SHORT = 42, LONG = 56 };

static struct magazine *of_both(void)
{
    assert_int_equal(size_class_of(SHORT), size_class_of(LONG));
    return &cache_mine->magazines[size_class_of(SHORT)];
}

/* A look after which nothing has changed finds it idle, so it must have been full before. */
static void expect_used_then_idle(void)
{
    assert_int_equal(look(), 0);
    uint32_t held = magazine_count(of_both());
    assert_true(held > 0);
    assert_int_equal(look(), -(int64_t)held);
}

static void other_buffers_of_as_many_slots_are_use(void **state)
{
    (void)state;
    char *one = keeper_get(heap, SHORT);
    (void)look();
    const struct slot *top = magazine_top(of_both());
    heap_free(heap, one, SHORT);
    (void)keeper_get(heap, LONG);
    assert_ptr_equal(magazine_top(of_both()), top);
    expect_used_then_idle();
    layer_check_heap(heap);
}

static void fewer_slots_of_as_many_bytes_are_use(void **state)
{
    (void)state;
    char *four[4];
    for (size_t i = 0; i < 4; i++) {
        four[i] = keeper_get(heap, SHORT);
    }
    (void)look();
    uint64_t bytes = counter_read(&of_both()->live_bytes);
    for (size_t i = 0; i < 4; i++) {
        heap_free(heap, four[i], SHORT);
    }
    for (size_t i = 0; i < 3; i++) {
        (void)keeper_get(heap, LONG);
    }
    assert_int_equal(counter_read(&of_both()->live_bytes), bytes);
    expect_used_then_idle();
    layer_check_heap(heap);
}

/* ---- when there is a look ---- */

static void looks_are_one_for_many_slots(void **state)
{
    (void)state;
    size_t looks = 0;
    int64_t moved = 0;
    take(1);
    for (size_t i = 0; i < 4000; i++) {
        (void)keeper_get(heap, SIZE);
        looks += cache_mine->moved < moved; /* only a look makes it less */
        moved = cache_mine->moved;
    }
    assert_in_range(looks, 4000 / 256, 4000 / 128);
    layer_check_heap(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_nobody_uses_goes_back_to_the_slabs, fresh, end),
        cmocka_unit_test_setup_teardown(a_stock_that_holds_nothing_gives_its_room_back, fresh, end),
        cmocka_unit_test_setup_teardown(what_is_in_use_stays_and_so_does_its_stock, fresh, end),
        cmocka_unit_test_setup_teardown(a_stock_that_others_use_stays, fresh, end),
        cmocka_unit_test_setup_teardown(what_a_look_empties_counts_against_the_next, fresh, end),
        cmocka_unit_test_setup_teardown(other_buffers_of_as_many_slots_are_use, fresh, end),
        cmocka_unit_test_setup_teardown(fewer_slots_of_as_many_bytes_are_use, fresh, end),
        cmocka_unit_test_setup_teardown(looks_are_one_for_many_slots, fresh, end),
    };
    return layer_run(tests);
}
