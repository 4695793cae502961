/* SPDX-License-Identifier: ISC */
#include "heap/magazine.h"

#include <errno.h>
#include <pthread.h>

#include "unit/expect.h"
#include "unit/heap_model.h"
#include "unit/os_view.h"

enum { SIZE = 100, MANY = 200 };

static struct heap *heap;
static struct heap_config config;
static char *buffers[MANY];

static int fresh(void **state)
{
    (void)state;
    config = layer_heap_config();
    heap = layer_heap(&config);
    return 0;
}

static int end(void **state)
{
    (void)state;
    cache_set_exit_hook(NULL);
    layer_end_heap(heap);
    return 0;
}

static struct magazine *mine(void)
{
    return &cache_mine->magazines[size_class_of(SIZE)];
}

static void take(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buffers[i] = keeper_get(heap, SIZE);
    }
}

static void give(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        heap_free(heap, buffers[i], SIZE);
    }
}

static void an_empty_magazine_refills_half(void **state)
{
    (void)state;
    take(1);
    uint32_t capacity = mine()->capacity;
    assert_int_equal(capacity, heap->classes.at[size_class_of(SIZE)].magazine);
    assert_int_equal(magazine_count(mine()), capacity / 2 - 1);
    for (uint32_t left = capacity / 2 - 1; left > 0; left--) {
        take(1);
        assert_int_equal(magazine_count(mine()), left - 1);
    }
    take(1);
    assert_int_equal(magazine_count(mine()), capacity / 2 - 1);
    layer_check_heap(heap);
}

static void a_full_magazine_flushes_the_older_half(void **state)
{
    (void)state;
    take(MANY);
    uint32_t capacity = mine()->capacity;
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

/* ---- room ---- */

static void all_magazines_hold_a_16th_of_the_limit(void **state)
{
    (void)state;
    for (size_t pages = 8; pages <= 1024; pages *= 4) {
        layer_end_heap(heap);
        config.pages.lock_limit = pages * config.pages.page_size;
        heap = layer_heap(&config);
        uint64_t most = config.pages.lock_limit / 16;
        int error = 0;
        for (size_t size = 1; size <= heap->classes.size_max; size += 1 + size / 16) {
            void *start = heap_allocate(heap, size, &error);
            if (start != NULL) {
                heap_free(heap, start, size);
            }
            uint64_t held = 0;
            for (uint32_t class = 0; class < heap->classes.count; class ++) {
                uint32_t capacity = cache_mine->magazines[class].capacity;
                held += capacity * heap->classes.at[class].slot_size;
                assert_true(capacity == 0 || capacity >= MAGAZINE_SLOTS_MIN);
                assert_true(capacity <= heap->classes.at[class].magazine);
            }
            assert_int_equal(held, heap->magazine_bytes);
            assert_true(held <= most);
        }
        layer_check_heap(heap);
    }
}

static void without_room_all_goes_through_the_mutex(void **state)
{
    (void)state;
    layer_end_heap(heap);
    config.pages.lock_limit = config.pages.page_size;
    heap = layer_heap(&config);
    int error = 0;
    char *one = heap_allocate(heap, 200, &error);
    assert_non_null(one);
    assert_int_equal(layer_numbers(heap).cached_slots, 0);
    layer_check_heap(heap);
    heap_free(heap, one, 200);
    assert_int_equal(layer_numbers(heap).all_slots, 0);
    layer_check_heap(heap);
}

static void flushing_returns_the_room(void **state)
{
    (void)state;
    take(MANY);
    give(0, MANY);
    assert_true(heap->magazine_bytes > 0);
    magazines_flush(heap);
    assert_int_equal(heap->magazine_bytes, 0);
    assert_int_equal(layer_numbers(heap).all_slots, 0);
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
    assert_int_equal(heap->magazine_bytes, 0);
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
    assert_false(heap->caches->in_use);
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
        cmocka_unit_test_setup_teardown(a_full_magazine_flushes_the_older_half, fresh, end),
        cmocka_unit_test_setup_teardown(a_steady_load_takes_no_mutex, fresh, end),
        cmocka_unit_test_setup_teardown(all_magazines_hold_a_16th_of_the_limit, fresh, end),
        cmocka_unit_test_setup_teardown(without_room_all_goes_through_the_mutex, fresh, end),
        cmocka_unit_test_setup_teardown(flushing_returns_the_room, fresh, end),
        cmocka_unit_test_setup_teardown(others_flush_at_their_next_slow_path, fresh, end),
        cmocka_unit_test_setup_teardown(a_threads_end_gives_its_slots_back, fresh, end),
        cmocka_unit_test_setup_teardown(the_sentinels_are_never_written_to, fresh, end),
        cmocka_unit_test_setup_teardown(a_thread_that_will_not_hear_of_its_end_gets_no_cache, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(without_memory_for_a_cache_there_is_none, fresh, end),
        cmocka_unit_test_setup_teardown(what_another_thread_frees_adds_up, fresh, end),
    };
    return layer_run(tests);
}
