/* SPDX-License-Identifier: ISC */
/* Spares: the large runs that a thread keeps for itself. */
#include "heap/spare.h"

#include <errno.h>
#include <signal.h>

#include "heap/large.h"
#include "heap/magazine.h"
#include "unit/expect.h"
#include "unit/heap_model.h"
#include "unit/os_view.h"

#define FATAL "secure_malloc: fatal: "

static struct heap *heap;
static size_t size; /* of a run of four pages */

static void begin(const struct heap_config *config)
{
    heap = layer_heap(config);
    size = 4 * heap->page_size;
}

static int fresh(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    begin(&config);
    return 0;
}

static int end(void **state)
{
    (void)state;
    layer_end_heap(heap);
    return 0;
}

static uint64_t kept(void)
{
    return counter_read(&cache_mine->spares.count);
}

static uint64_t dirty(void)
{
    return counter_read(&heap->pages.counters.dirty);
}

static void give(void *pointer)
{
    heap_free(heap, pointer, HEAP_ANY_SIZE);
}

/* ---- what is kept ---- */

static void a_freed_run_waits_for_its_threads_next_buffer(void **state)
{
    (void)state;
    char *start = keeper_get(heap, size);
    memset(start, 's', size);
    give(start);
    assert_int_equal(kept(), 1);
    assert_int_equal(dirty(), 0);
    assert_true(view_is_all(start, size, 0));
    struct heap_numbers numbers = layer_numbers(heap);
    assert_int_equal(numbers.live_count, 0);
    assert_int_equal(numbers.cached_slots, 1);
    assert_int_equal(numbers.all_slots, 1);
    assert_int_equal(numbers.spare_bytes, size);
    assert_ptr_equal(keeper_get(heap, size), start);
    assert_int_equal(kept(), 0);
    assert_int_equal(layer_numbers(heap).spare_bytes, 0);
    give(start);
    layer_check_heap(heap);
}

static void any_size_of_as_many_pages_may_have_it(void **state)
{
    (void)state;
    int error = 0;
    char *start = keeper_get(heap, size);
    give(start);
    char *shorter = keeper_get(heap, size - 100);
    assert_ptr_equal(shorter, start);
    assert_int_equal(heap_size_of(heap, start), size - 100);
    give(start);
    char *guarded = heap_allocate_guarded(heap, size - 160, &error);
    assert_ptr_equal(guarded, start + 160);
    give(guarded);
    assert_int_equal(kept(), 1);
    assert_ptr_equal(keeper_get(heap, size), start);
    give(start);
    layer_check_heap(heap);
}

static void others_are_left_alone(void **state)
{
    (void)state;
    int error = 0;
    char *start = keeper_get(heap, size);
    give(start);
    char *longer = keeper_get(heap, size + 1);
    assert_ptr_not_equal(longer, start);
    assert_int_equal(kept(), 1);
    /* By chance it may lie at a multiple of this, so it is not asked. */
    char *aligned = heap_allocate_aligned(heap, 4 * heap->page_size, size, &error);
    assert_non_null(aligned);
    assert_int_equal(kept(), 1);
    give(longer);
    give(aligned);
    assert_int_equal(kept(), 3);
    assert_ptr_equal(keeper_get(heap, size + 1), longer); /* from between the others, */
    assert_ptr_equal(keeper_get(heap, size), aligned);    /* which stay */
    assert_ptr_equal(keeper_get(heap, size), start);
    assert_int_equal(kept(), 0);
    give(start);
    give(aligned);
    give(longer);
    layer_check_heap(heap);
}

static void the_short_way_finds_what_is_kept_and_nothing_else(void **state)
{
    (void)state;
    int error = 0;
    char *start = keeper_get(heap, size);
    give(start);
    char *page = heap_allocate_guarded(heap, heap->page_size, &error);
    give(page);
    assert_int_equal(kept(), 2);
    size_t most = heap->classes.size_max;
    size_t one_page = heap->page_size < most ? heap->page_size : most;
    const size_t others[] = {0, 1, one_page, most, size + 1, SIZE_MAX};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_null(large_allocate_kept(heap, others[i]));
    }
    assert_int_equal(kept(), 2);
    assert_ptr_equal(large_allocate_kept(heap, size - 1), start);
    assert_int_equal(heap_size_of(heap, start), size - 1);
    assert_int_equal(kept(), 1);
    start[size - 2] = 's';
    give(start);
    assert_true(view_is_all(start, size, 0));
    layer_check_heap(heap);
}

static void a_closed_buffer_is_open_again(void **state)
{
    (void)state;
    int error = 0;
    char *guarded = heap_allocate_guarded(heap, size, &error);
    assert_non_null(guarded);
    assert_int_equal(heap_protect(heap, guarded, OS_NO_ACCESS), 0);
    give(guarded);
    char *start = keeper_get(heap, size);
    assert_ptr_equal(start, guarded);
    memset(start, 's', size);
    give(start);
    layer_check_heap(heap);
}

/* ---- how much ---- */

static void there_are_only_so_many(void **state)
{
    (void)state;
    char *starts[SPARES_MAX + 2];
    for (size_t i = 0; i < SPARES_MAX + 2; i++) {
        starts[i] = keeper_get(heap, heap->classes.size_max + 1);
    }
    for (size_t i = 0; i < SPARES_MAX + 2; i++) {
        give(starts[i]);
        assert_true(kept() <= SPARES_MAX);
        assert_true(layer_numbers(heap).spare_bytes <= cache_mine->spares.room);
    }
    assert_true(kept() > 0);
    assert_true(dirty() > 0);
    layer_check_heap(heap);
}

static void and_not_more_bytes_than_there_is_room_for(void **state)
{
    (void)state;
    char *first = keeper_get(heap, SPARE_BYTES_MAX);
    char *second = keeper_get(heap, size);
    char *third = keeper_get(heap, SPARE_BYTES_MAX + 1);
    give(third);
    assert_int_equal(kept(), 0);
    give(first);
    assert_int_equal(kept(), 1);
    assert_int_equal(cache_mine->spares.room, SPARE_BYTES_MAX);
    give(second);
    assert_int_equal(kept(), 1);
    layer_check_heap(heap);
}

static void a_small_lock_limit_leaves_no_room(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    layer_end_heap(heap);
    config.pages.lock_limit = 32 * config.pages.page_size;
    begin(&config);
    for (int i = 0; i < 3; i++) {
        give(keeper_get(heap, size));
        assert_int_equal(kept(), 0);
        assert_int_equal(dirty(), size);
        /* Not even a page of it is taken from the magazines. */
        assert_int_equal(heap->room_taken, 0);
    }
    layer_check_heap(heap);
}

/* What threads may keep is 1/16 of the limit, and spares get a quarter of what is left of it. */
static void some_room_is_left_to_magazines(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    char *starts[3];
    layer_end_heap(heap);
    config.pages.lock_limit = 16 * 5 * size;
    begin(&config);
    for (size_t i = 0; i < 3; i++) {
        starts[i] = keeper_get(heap, size);
    }
    for (size_t i = 0; i < 3; i++) {
        give(starts[i]);
    }
    assert_int_equal(kept(), 2);
    assert_int_equal(heap->room_taken, 2 * size);
    layer_check_heap(heap);
}

static void room_is_taken_as_it_is_needed(void **state)
{
    (void)state;
    char *first = keeper_get(heap, size);
    char *second = keeper_get(heap, 2 * size);
    give(first);
    assert_int_equal(cache_mine->spares.room, size);
    assert_int_equal(heap->room_taken, size);
    give(second);
    assert_int_equal(cache_mine->spares.room, 3 * size);
    layer_check_heap(heap);
}

static void who_has_set_what_may_stay_keeps_none(void **state)
{
    (void)state;
    const uint64_t limits[] = {0, 4 * SPARE_BYTES_MAX};
    for (size_t i = 0; i < 2; i++) {
        struct heap_config config = layer_heap_config();
        layer_end_heap(heap);
        config.pages.purge_limit = limits[i];
        begin(&config);
        give(keeper_get(heap, size));
        assert_int_equal(kept(), 0);
        assert_int_equal(dirty(), limits[i] > 0 ? size : 0);
        layer_check_heap(heap);
    }
}

static void what_could_not_be_locked_is_not_kept(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    layer_end_heap(heap);
    config.pages.best_effort = true;
    begin(&config);
    char *locked = keeper_get(heap, size);
    os_faults.only = 1U << CALL_LOCK;
    os_faults_fail(1, true);
    char *unlocked = keeper_get(heap, 2 * size);
    os_faults_reset();
    assert_true(counter_read(&heap->pages.counters.unlocked) > 0);
    give(unlocked);
    assert_int_equal(kept(), 0);
    give(locked);
    assert_int_equal(kept(), 1);
    layer_check_heap(heap);
}

/* ---- when they go back ---- */

static void a_purge_takes_them_too(void **state)
{
    (void)state;
    give(keeper_get(heap, size));
    assert_int_equal(heap_purge(heap), size);
    assert_int_equal(kept(), 0);
    assert_int_equal(cache_mine->spares.room, 0);
    layer_check_heap(heap);
}

static void keep_one_and_exit(void *context)
{
    bool flushed = *(bool *)context;
    give(keeper_get(heap, size));
    assert_int_equal(kept(), 1);
    if (flushed) {
        /* As if another thread had asked: the next one that is freed is told of it. */
        (void)atomic_fetch_add(&heap->epoch, 1);
        char *longer = keeper_get(heap, 2 * size);
        assert_int_equal(kept(), 1);
        give(longer);
        assert_int_equal(kept(), 1);
        assert_ptr_equal(keeper_get(heap, 2 * size), longer);
        give(longer);
    }
    heap_thread_exit(heap, cache_mine);
    assert_int_equal(layer_numbers(heap).spare_bytes, 0);
}

static void another_threads_do_when_it_is_asked_or_ends(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        bool flushed = i != 0;
        layer_in_thread(keep_one_and_exit, &flushed);
        assert_int_equal(heap->room_taken, 0);
        layer_check_heap(heap);
    }
}

static void those_that_nobody_came_for_do_after_a_purge(void **state)
{
    (void)state;
    char *start = keeper_get(heap, size);
    give(start);
    spares_empty_idle(heap, cache_mine);
    assert_int_equal(kept(), 0); /* never taken */
    give(keeper_get(heap, size));
    give(keeper_get(heap, size));
    spares_empty_idle(heap, cache_mine);
    assert_int_equal(kept(), 1);
    spares_empty_idle(heap, cache_mine);
    assert_int_equal(kept(), 0);
    layer_check_heap(heap);
}

/* ---- what is wrong ---- */

static void free_twice(void *context)
{
    give(context);
}

static void write_and_take(void *context)
{
    *(volatile char *)context = 1;
    (void)keeper_get(heap, size);
}

static void a_spare_is_free_memory(void **state)
{
    (void)state;
    char *start = keeper_get(heap, size);
    give(start);
    assert_death_with(free_twice, start, SIGABRT, FATAL "double free");
    assert_death_with(write_and_take, start, SIGABRT, FATAL "write after free");
    assert_death_with(write_and_take, start + size - 1, SIGABRT, FATAL "write after free");
    assert_ptr_equal(keeper_get(heap, size), start);
    give(start);
    heap_zeroize(heap);
    layer_check_heap(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, end)
        TEST(a_freed_run_waits_for_its_threads_next_buffer),
        TEST(any_size_of_as_many_pages_may_have_it),
        TEST(others_are_left_alone),
        TEST(the_short_way_finds_what_is_kept_and_nothing_else),
        TEST(a_closed_buffer_is_open_again),
        TEST(there_are_only_so_many),
        TEST(and_not_more_bytes_than_there_is_room_for),
        TEST(a_small_lock_limit_leaves_no_room),
        TEST(some_room_is_left_to_magazines),
        TEST(room_is_taken_as_it_is_needed),
        TEST(who_has_set_what_may_stay_keeps_none),
        TEST(what_could_not_be_locked_is_not_kept),
        TEST(a_purge_takes_them_too),
        TEST(another_threads_do_when_it_is_asked_or_ends),
        TEST(those_that_nobody_came_for_do_after_a_purge),
        TEST(a_spare_is_free_memory),
    };
    return layer_run(tests);
}
