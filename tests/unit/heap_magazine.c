/* SPDX-License-Identifier: ISC */
#include "heap/magazine.h"

#include <errno.h>
#include <pthread.h>

#include "unit/expect.h"
#include "unit/heap_row.h"

static void an_empty_magazine_refills_half(void **state)
{
    (void)state;
    size_t slots = heap->classes.at[size_class_of(SIZE)].slots;
    take(2 * slots);
    give(1, 2 * slots - 1); /* of two slabs one slot each is live */
    magazines_empty(heap, cache_mine);
    take(1);
    uint32_t capacity = magazine_capacity(mine());
    assert_int_equal(capacity, heap->classes.at[size_class_of(SIZE)].magazine);
    assert_int_equal(magazine_count(mine()), capacity / 2 - 1);
    for (uint32_t left = capacity / 2 - 1; left > 0; left--) {
        take(1);
        assert_int_equal(magazine_count(mine()), left - 1);
    }
    layer_check_heap(heap);
}

static void one_new_slab_is_enough_to_go_on_with(void **state)
{
    (void)state;
    size_t slots = heap->classes.at[size_class_of(SIZE)].slots;
    take(1);
    size_t half = magazine_capacity(mine()) / 2;
    size_t got = slots < half ? slots : half; /* fewer, where pages have 4 KiB */
    assert_int_equal(magazine_count(mine()), got - 1);
    take(got - 1);
    assert_int_equal(magazine_count(mine()), 0);
    take(1);
    assert_int_equal(magazine_count(mine()), got - 1);
    layer_check_heap(heap);
}

static void a_full_magazine_flushes_the_older_half(void **state)
{
    (void)state;
    take(MANY);
    uint32_t capacity = magazine_capacity(mine());
    uint32_t had = magazine_count(mine());
    give(0, capacity - had);
    assert_int_equal(magazine_count(mine()), capacity);
    give(capacity - had, capacity - had + 1);
    assert_int_equal(magazine_count(mine()), capacity - (capacity + 1) / 2 + 1);
    /* The last one freed is the first handed out. */
    char *last = buffers[capacity - had];
    assert_ptr_equal(keeper_get(heap, SIZE), last);
    assert_ptr_equal(keeper_get(heap, SIZE), buffers[capacity - had - 1]);
    layer_check_heap(heap);
}

static void a_steady_load_takes_no_mutex(void **state)
{
    (void)state;
    take(1);
    mutex_lock(&heap->slabs[size_class_of(SIZE)].mutex);
    mutex_lock(&heap->pages.mutex);
    mutex_lock(&heap->caches_mutex);
    for (size_t i = 0; i < 1000; i++) { /* else it never comes back */
        heap_free(heap, buffers[0], SIZE);
        take(1);
    }
    mutex_unlock(&heap->caches_mutex);
    mutex_unlock(&heap->pages.mutex);
    mutex_unlock(&heap->slabs[size_class_of(SIZE)].mutex);
    layer_check_heap(heap);
}

static void slots_come_out_last_in_first_out(void **state)
{
    (void)state;
    struct slot slots[4];
    struct slot slot = {NULL, NULL};
    slot_record records[3] = {0};
    char starts[3];
    struct magazine magazine = {.bottom = slots, .limit = slots + 3};
    magazine_set_top(&magazine, slots);
    assert_int_equal(magazine_capacity(&magazine), 3);
    assert_false(magazine_pop(&magazine, &slot.start, &slot.record));
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(magazine_push(&magazine, (struct slot){&starts[i], &records[i]}));
        assert_int_equal(magazine_count(&magazine), i + 1);
    }
    assert_false(magazine_push(&magazine, (struct slot){&starts[0], &records[0]}));
    assert_int_equal(magazine_count(&magazine), 3);
    for (uint32_t i = 3; i-- > 0;) {
        assert_true(magazine_pop(&magazine, &slot.start, &slot.record));
        assert_ptr_equal(slot.start, &starts[i]);
        assert_ptr_equal(slot.record, &records[i]);
    }
    assert_int_equal(magazine_count(&magazine), 0);
}

/* ---- with the stock alone ---- */

static void an_empty_magazine_is_refilled_from_the_stock_alone(void **state)
{
    (void)state;
    uint32_t class = size_class_of(SIZE);
    take(MANY);
    (void)overflow_once(overflow_once(0));
    assert_false(magazine_refill_from_stock(heap, class)); /* it is not empty */
    uint32_t held = magazine_count(stocked());
    uint32_t half = (magazine_capacity(mine()) + 1) / 2;
    uint64_t in_slabs = free_slots();
    for (; held > 0; held -= half) {
        drain();
        char *newest = stocked()->bottom[held - 1].start;
        assert_true(magazine_refill_from_stock(heap, class));
        assert_int_equal(magazine_count(mine()), half);
        assert_int_equal(magazine_count(stocked()), held - half);
        assert_ptr_equal(keeper_get(heap, SIZE), newest);
    }
    drain();
    assert_false(magazine_refill_from_stock(heap, class));
    assert_int_equal(magazine_count(mine()), 0);
    assert_int_equal(free_slots(), in_slabs);
    layer_check_heap(heap);
}

static void a_full_magazine_overflows_to_the_stock_alone(void **state)
{
    (void)state;
    uint32_t class = size_class_of(SIZE);
    size_t next = 0;
    take(MANY);
    drain();
    uint64_t in_slabs = free_slots();
    for (uint32_t held = 0;; held = magazine_count(stocked())) {
        while (magazine_count(mine()) < magazine_capacity(mine())) {
            give(next, next + 1);
            next++;
        }
        char *oldest = mine()->bottom->start;
        if (!magazine_overflow_to_stock(heap, class)) {
            break;
        }
        assert_ptr_equal(stocked()->bottom[held].start, oldest);
        assert_int_equal(magazine_count(mine()), magazine_capacity(mine()) / 2);
    }
    /* There was no room for all of it: nothing has moved. */
    assert_int_equal(magazine_count(mine()), magazine_capacity(mine()));
    assert_int_equal(magazine_count(stocked()), magazine_capacity(stocked()));
    assert_int_equal(free_slots(), in_slabs);
    layer_check_heap(heap);
}

static void find_no_magazine(void *context)
{
    (void)context;
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        assert_false(magazine_refill_from_stock(heap, class));
        assert_false(magazine_overflow_to_stock(heap, class));
    }
}

static void who_has_no_magazine_or_is_to_flush_it_goes_another_way(void **state)
{
    (void)state;
    take(MANY);
    (void)overflow_once(overflow_once(0));
    layer_in_thread(find_no_magazine, NULL);
    drain();
    uint32_t held = magazine_count(stocked());
    atomic_fetch_add_explicit(&heap->epoch, 1, memory_order_relaxed);
    assert_false(magazine_refill_from_stock(heap, size_class_of(SIZE)));
    assert_int_equal(magazine_count(stocked()), held);
    take(1);
    assert_int_equal(cache_mine->epoch, heap->epoch);
    layer_check_heap(heap);
}

/* ---- what moves is counted ---- */

/* No look comes so far. */
enum { FAR_FROM_A_LOOK = -1000000 };

static void what_leaves_and_comes_is_counted_wherever_it_goes(void **state)
{
    (void)state;
    uint32_t capacity = heap->classes.at[size_class_of(SIZE)].magazine;
    uint32_t half = (capacity + 1) / 2;
    uint32_t to_stock = 0;
    uint32_t to_slabs = 0;
    size_t next = 0;
    take(MANY);
    while (next < MANY - capacity) {
        uint32_t in_stock = magazine_count(stocked());
        cache_mine->moved = FAR_FROM_A_LOOK;
        next = overflow_once(next);
        assert_int_equal(cache_mine->moved, FAR_FROM_A_LOOK + (int64_t)half);
        *(magazine_count(stocked()) > in_stock ? &to_stock : &to_slabs) += half;
    }
    assert_true(to_stock > 0 && to_slabs > 0);
    for (bool quick = true, from_slabs = false; !from_slabs; quick = !quick) {
        drain();
        from_slabs = magazine_count(stocked()) == 0;
        cache_mine->moved = FAR_FROM_A_LOOK;
        bool refilled = quick && magazine_refill_from_stock(heap, size_class_of(SIZE));
        uint32_t came = magazine_count(mine());
        if (!refilled) {
            (void)keeper_get(heap, SIZE);
            came = magazine_count(mine()) + 1;
        }
        assert_int_equal(cache_mine->moved, FAR_FROM_A_LOOK + (int64_t)came);
    }
    assert_int_equal(magazine_count(stocked()), 0);
    layer_check_heap(heap);
}

static void who_only_frees_looks_for_what_is_idle_too(void **state)
{
    (void)state;
    size_t next = 0;
    take(MANY);
    do {
        cache_mine->moved = FAR_FROM_A_LOOK;
        next = overflow_once(next);
        assert_true(next < MANY);
    } while (magazine_count(stocked()) < magazine_capacity(stocked()));
    cache_mine->moved = INT32_MAX;
    (void)overflow_once(next);
    assert_true(cache_mine->moved <= 0);
    layer_check_heap(heap);
}

/* ---- room ---- */

static uint64_t room_of(const struct cache *cache)
{
    uint64_t room = 0;
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        uint32_t capacity = magazine_capacity(&cache->magazines[class]);
        room += (uint64_t)capacity * heap->classes.at[class].slot_size;
        assert_true(capacity == 0 || capacity >= MAGAZINE_SLOTS_MIN);
        assert_true(capacity <= heap->classes.at[class].magazine);
    }
    return room;
}

/* The stock is one of them. */
static uint64_t room_of_all(void)
{
    uint64_t room = 0;
    for (const struct cache *cache = heap->caches; cache != NULL; cache = cache->next) {
        room += room_of(cache);
    }
    return room;
}

static void all_magazines_hold_a_16th_of_the_limit(void **state)
{
    (void)state;
    for (size_t pages = 8; pages <= 1024; pages *= 4) {
        config.pages.lock_limit = pages * config.pages.page_size;
        start_over();
        uint64_t most = config.pages.lock_limit / 16;
        int error = 0;
        for (size_t size = 1; size <= heap->classes.size_max; size += 1 + size / 16) {
            void *starts[2 * MAGAZINE_SLOTS_MAX];
            size_t count = 0;
            while (count < 2 * MAGAZINE_SLOTS_MAX &&
                   (starts[count] = heap_allocate(heap, size, &error)) != NULL) {
                count++;
            }
            while (count > 0) { /* so that the stock wants room too */
                heap_free(heap, starts[--count], size);
            }
            assert_int_equal(room_of_all(), heap->room_taken);
            assert_true(heap->room_taken <= most);
        }
        if (pages == 1024) {
            assert_true(room_of(heap->stocks[0]) > 0);
        }
        layer_check_heap(heap);
    }
}

static void without_room_all_goes_through_the_mutex(void **state)
{
    (void)state;
    config.pages.lock_limit = config.pages.page_size;
    start_over();
    int error = 0;
    char *one = heap_allocate(heap, 200, &error);
    assert_non_null(one);
    assert_int_equal(layer_numbers(heap).cached_slots, 0);
    layer_check_heap(heap);
    heap_free(heap, one, 200);
    assert_int_equal(layer_numbers(heap).all_slots, 0);
    layer_check_heap(heap);
}

/* Of what is left, 64 whole ones of this class must fit, or it gets half of one. */
static void magazines_are_whole_where_there_is_room_for_many(void **state)
{
    const struct size_class *c = &heap->classes.at[size_class_of(SIZE)];
    const uint64_t room = (uint64_t)64 * c->magazine * c->slot_size;
    (void)state;
    for (uint64_t missing = 0; missing < 2; missing++) {
        config.pages.lock_limit = 16 * (room - missing);
        start_over();
        take(1);
        c = &heap->classes.at[size_class_of(SIZE)];
        uint32_t whole = c->magazine;
        assert_int_equal(magazine_capacity(mine()), missing > 0 ? whole / 2 : whole);
        layer_check_heap(heap);
    }
}

static void flushing_returns_the_room(void **state)
{
    (void)state;
    take(MANY);
    give(0, MANY);
    assert_true(heap->room_taken > 0);
    assert_true(magazine_count(stocked()) > 0);
    magazines_flush(heap);
    assert_int_equal(magazine_count(stocked()), 0);
    assert_int_equal(heap->room_taken, 0);
    assert_int_equal(layer_numbers(heap).all_slots, 0);
    layer_check_heap(heap);
}

/* ---- purging ---- */

static void who_has_no_magazine_purges_too(void **state)
{
    enum { BIG = 4000, COUNT = 8 };
    char *starts[COUNT];
    (void)state;
    config.pages.lock_limit = 64 * 1024; /* two slots of this size are more than a 16th of it */
    config.pages.purge_limit = 0;
    start_over();
    for (size_t i = 0; i < COUNT; i++) {
        starts[i] = keeper_get(heap, BIG);
    }
    assert_int_equal(magazine_capacity(&cache_mine->magazines[size_class_of(BIG)]), 0);
    for (size_t i = 0; i < COUNT; i++) {
        heap_free(heap, starts[i], BIG);
    }
    assert_int_equal(counter_read(&heap->pages.counters.dirty), 0);
    assert_true(counter_read(&heap->pages.counters.purges) > 0);
    layer_check_heap(heap);
}

static void free_purges_and_malloc_does_not(void **state)
{
    enum { OTHERS = 4 * MANY };
    char *others[OTHERS];
    (void)state;
    config.pages.purge_limit = 0;
    start_over();
    /* Idle magazines, whose slots make pages dirty when a look on the way of malloc empties them.
     */
    take(MANY);
    give(0, MANY);
    uint64_t purges = counter_read(&heap->pages.counters.purges);
    size_t count = 0;
    while (counter_read(&heap->pages.counters.dirty) == 0) {
        assert_true(count < OTHERS);
        others[count++] = keeper_get(heap, 1000);
    }
    assert_int_equal(counter_read(&heap->pages.counters.purges), purges);
    while (count > 0) {
        heap_free(heap, others[--count], 1000);
    }
    assert_int_equal(counter_read(&heap->pages.counters.dirty), 0);
    layer_check_heap(heap);
}

static void so_does_who_gives_to_the_stock_alone(void **state)
{
    (void)state;
    config.pages.purge_limit = 0;
    start_over();
    take(MANY);
    drain();
    struct run run;
    size_t cold = 0;
    assert_int_equal(pages_take(&heap->pages, 1, false, &run, &cold), 0);
    pages_give(&heap->pages, run);
    assert_true(counter_read(&heap->pages.counters.dirty) > 0);
    (void)overflow_once(0);
    assert_true(magazine_count(stocked()) > 0);
    assert_int_equal(counter_read(&heap->pages.counters.dirty), 0);
    layer_check_heap(heap);
}

/* ---- epochs ---- */

struct visitor {
    pthread_barrier_t barrier;
    uint64_t held_before, held_after;
};

static void hold_flush_hold(void *context)
{
    struct visitor *visitor = context;
    char *mine_too[4];
    for (size_t i = 0; i < 4; i++) {
        mine_too[i] = keeper_get(heap, SIZE);
    }
    heap_free(heap, mine_too[0], SIZE);
    char *other = keeper_get(heap, 10 * SIZE);
    visitor->held_before = magazine_count(mine());
    pthread_barrier_wait(&visitor->barrier);
    pthread_barrier_wait(&visitor->barrier);
    /* The fast path does not look; the next slow one, of whatever class, does. */
    heap_free(heap, keeper_get(heap, SIZE), SIZE);
    assert_true(magazine_count(mine()) > 0);
    (void)keeper_get(heap, 3000);
    visitor->held_after = magazine_count(mine());
    for (size_t i = 1; i < 4; i++) {
        heap_free(heap, mine_too[i], SIZE);
    }
    heap_free(heap, other, HEAP_ANY_SIZE);
}

static void *run_visitor(void *context)
{
    hold_flush_hold(context);
    return NULL;
}

static void others_flush_at_their_next_slow_path(void **state)
{
    (void)state;
    struct visitor visitor;
    pthread_t thread;
    assert_int_equal(pthread_barrier_init(&visitor.barrier, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, run_visitor, &visitor), 0);
    pthread_barrier_wait(&visitor.barrier);
    magazines_flush(heap);
    pthread_barrier_wait(&visitor.barrier);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(visitor.held_before > 0);
    assert_int_equal(visitor.held_after, 0);
    layer_check_heap(heap);
    pthread_barrier_destroy(&visitor.barrier);
}

/* ---- one thread allocates, another frees ---- */

static void free_them(void *context)
{
    (void)context;
    give(0, MANY);
    heap_thread_exit(heap, cache_mine);
}

static void what_another_thread_frees_adds_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        take(MANY);
        layer_in_thread(free_them, NULL);
        layer_check_heap(heap);
        assert_int_equal(layer_numbers(heap).live_bytes, 0);
    }
    magazines_flush(heap);
    assert_int_equal(layer_numbers(heap).all_slots, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_magazine_refills_half, fresh, end),
        cmocka_unit_test_setup_teardown(one_new_slab_is_enough_to_go_on_with, fresh, end),
        cmocka_unit_test_setup_teardown(a_full_magazine_flushes_the_older_half, fresh, end),
        cmocka_unit_test_setup_teardown(a_steady_load_takes_no_mutex, fresh, end),
        cmocka_unit_test(slots_come_out_last_in_first_out),
        cmocka_unit_test_setup_teardown(an_empty_magazine_is_refilled_from_the_stock_alone, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(a_full_magazine_overflows_to_the_stock_alone, fresh, end),
        cmocka_unit_test_setup_teardown(who_has_no_magazine_or_is_to_flush_it_goes_another_way,
                                        fresh, end),
        cmocka_unit_test_setup_teardown(what_leaves_and_comes_is_counted_wherever_it_goes, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(who_only_frees_looks_for_what_is_idle_too, fresh, end),
        cmocka_unit_test_setup_teardown(all_magazines_hold_a_16th_of_the_limit, fresh, end),
        cmocka_unit_test_setup_teardown(without_room_all_goes_through_the_mutex, fresh, end),
        cmocka_unit_test_setup_teardown(magazines_are_whole_where_there_is_room_for_many, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(flushing_returns_the_room, fresh, end),
        cmocka_unit_test_setup_teardown(who_has_no_magazine_purges_too, fresh, end),
        cmocka_unit_test_setup_teardown(free_purges_and_malloc_does_not, fresh, end),
        cmocka_unit_test_setup_teardown(so_does_who_gives_to_the_stock_alone, fresh, end),
        cmocka_unit_test_setup_teardown(others_flush_at_their_next_slow_path, fresh, end),
        cmocka_unit_test_setup_teardown(what_another_thread_frees_adds_up, fresh, end),
    };
    return layer_run(tests);
}
