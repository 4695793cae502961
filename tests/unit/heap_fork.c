/* SPDX-License-Identifier: ISC */
/* Fork under keep: what a child finds, and the slots that nobody holds there. */
#include "unit/heap_child.h"

/* What a thread's magazine holds when another forks. */
static void leave_slots_in_a_magazine(void *context)
{
    (void)context;
    heap_free(heap, keeper_get(heap, SIZE), SIZE);
    assert_true(magazine_count(&cache_mine->magazines[size_class_of(SIZE)]) > 0);
    /* No exit hook: as if the thread went on. */
}

/* ---- keep ---- */

static void keep_child(void *context)
{
    (void)context;
    EXPECT_SAME(heap_fork_child(heap), 0);
    if (!os_faults.pretend_locks) {
        EXPECT_SAME(layer_open_unlocked(&heap->pages), 0);
        EXPECT_SAME(view_charged(), counter_read(&heap->pages.counters.locked));
    }
    for (size_t i = 0; i < COUNT; i++) {
        EXPECT(view_is_all(buffers[i], SIZE, (unsigned char)('a' + i % 26)));
        heap_free(heap, buffers[i], SIZE);
    }
    EXPECT(view_is_all(large, LARGE_SIZE, 'l'));
    heap_free(heap, large, LARGE_SIZE);
    heap_free(heap, guarded, SIZE);
    layer_check_heap(heap);
    EXPECT_SAME(layer_numbers(heap).live_count, 0);
    (void)heap_trim(heap);
    layer_check_pages(&heap->pages);
    EXPECT_SAME(counter_read(&heap->pages.counters.locked), 0);
}

static void kept_memory_is_locked_again_and_can_be_freed(void **state)
{
    (void)state;
    make(OS_FORK_KEEP, false);
    fill();
    in_child(keep_child, NULL);
    layer_check_heap(heap);
    assert_int_equal(layer_numbers(heap).live_count, COUNT + 2);
    assert_int_equal(atomic_load(&heap->forks), 1);
    layer_end_heap(heap);
}

/* ---- slots that nobody holds ---- */

static uint64_t slots_not_free(void)
{
    struct heap_numbers numbers = layer_numbers(heap);
    return numbers.all_slots - numbers.free_slots - numbers.cached_slots;
}

static void recover_child(void *context)
{
    bool stopped = *(bool *)context;
    if (stopped) {
        /* A thread was, between clearing the record and the wipe. */
        atomic_store(heap_place(heap, buffers[0]).slot.record, 0);
    }
    EXPECT_SAME(heap_fork_child(heap), 0);
    layer_check_heap(heap);
    EXPECT_SAME(slots_not_free(), layer_numbers(heap).live_count);
    EXPECT_SAME(layer_numbers(heap).cached_slots, 0);
    /* Every free slot can be had, reads zero (check_free says so), and is nobody else's. */
    for (size_t i = 0; i < 2 * COUNT; i++) {
        char *start = keeper_get(heap, SIZE);
        EXPECT(view_is_all(start, SIZE, 0));
        memset(start, 'n', SIZE);
    }
    for (size_t i = stopped ? 1 : 0; i < COUNT; i++) {
        EXPECT(view_is_all(buffers[i], SIZE, (unsigned char)('a' + i % 26)));
    }
    layer_check_heap(heap);
}

static void slots_of_other_threads_magazines_are_found(void **state)
{
    (void)state;
    bool stopped = false;
    make(OS_FORK_KEEP, false);
    fill();
    layer_in_thread(leave_slots_in_a_magazine, NULL);
    assert_true(layer_numbers(heap).cached_slots > 0);
    in_child(recover_child, &stopped);
    layer_check_heap(heap);
    layer_end_heap(heap);
}

static void slots_caught_before_their_wipe_are_wiped(void **state)
{
    (void)state;
    bool stopped = true;
    make(OS_FORK_KEEP, false);
    fill();
    layer_in_thread(leave_slots_in_a_magazine, NULL);
    in_child(recover_child, &stopped);
    layer_end_heap(heap);
}

/* ---- large runs that nobody holds ---- */

static void keep_a_spare(void *context)
{
    char *start = keeper_get(heap, LARGE_SIZE);
    heap_free(heap, start, LARGE_SIZE);
    assert_int_equal(counter_read(&cache_mine->spares.count), 1);
    if (*(bool *)context) {
        start[1] = 's'; /* its thread was about to wipe it */
    }
}

static void spare_child(void *context)
{
    (void)context;
    uint64_t live = counter_read(&heap->pages.counters.live);
    EXPECT_SAME(heap_fork_child(heap), 0);
    EXPECT_SAME(layer_numbers(heap).cached_slots, 0);
    EXPECT_SAME(layer_numbers(heap).spare_bytes, 0);
    EXPECT(counter_read(&heap->pages.counters.live) < live);
    EXPECT(counter_read(&heap->pages.counters.dirty) >= LARGE_SIZE);
    layer_check_heap(heap);
    EXPECT(view_is_all(large, LARGE_SIZE, 'l'));
    char *start = keeper_get(heap, LARGE_SIZE);
    EXPECT(view_is_all(start, LARGE_SIZE, 0));
    heap_free(heap, start, LARGE_SIZE);
    heap_free(heap, large, LARGE_SIZE);
    heap_free(heap, guarded, SIZE);
    layer_check_heap(heap);
}

static void spares_of_other_threads_are_found_and_wiped(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        bool unwiped = i != 0;
        make(OS_FORK_KEEP, false);
        fill();
        layer_in_thread(keep_a_spare, &unwiped);
        in_child(spare_child, NULL);
        layer_check_heap(heap);
        layer_end_heap(heap);
    }
}

/* The first try to lock again fails: what is free is closed, so that the rest may fit. */
static void tight_child(void *context)
{
    heap->forked_threaded = *(bool *)context;
    os_faults.only = 1U << CALL_RELOCK;
    os_faults_fail(1, false);
    EXPECT_SAME(heap_fork_child(heap), 0);
    os_faults_reset();
    EXPECT_SAME(layer_numbers(heap).spare_bytes, 0);
    EXPECT_SAME(counter_read(&heap->pages.counters.dirty), 0); /* the spare's, too */
    EXPECT(view_is_all(large, LARGE_SIZE, 'l'));
    EXPECT_SAME(counter_read(&heap->large_count), 2);
    EXPECT_SAME(counter_read(&heap->large_bytes), LARGE_SIZE + SIZE);
    layer_check_heap(heap);
}

static void spares_are_given_up_before_the_child_locks_again(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        bool threaded = i != 0;
        make(OS_FORK_KEEP, false);
        fill();
        heap_free(heap, keeper_get(heap, LARGE_SIZE), LARGE_SIZE);
        assert_int_equal(counter_read(&cache_mine->spares.count), 1);
        in_child(tight_child, &threaded);
        layer_end_heap(heap);
    }
}

/* The child frees first: such a slot is not lost, it is in the child's own magazine. */
static void free_first_child(void *context)
{
    bool counts = *(bool *)context;
    EXPECT_SAME(heap_fork_child(heap), 0);
    for (size_t i = 0; i < 5; i++) {
        heap_free(heap, buffers[i], SIZE);
    }
    if (counts) {
        layer_check_heap(heap);
        EXPECT_SAME(layer_numbers(heap).live_count, COUNT - 5 + 2);
    }
    char *seen[2 * COUNT];
    for (size_t i = 0; i < 2 * COUNT; i++) {
        seen[i] = keeper_get(heap, SIZE);
        EXPECT(view_is_all(seen[i], SIZE, 0));
        memset(seen[i], 'n', SIZE);
    }
    layer_check_heap(heap);
    EXPECT_SAME(layer_numbers(heap).live_count, 3 * COUNT - 5 + 2);
    for (size_t i = 0; i < 2 * COUNT; i++) {
        heap_free(heap, seen[i], SIZE);
    }
    layer_check_heap(heap);
}

static void slots_freed_before_the_search_are_not_found_twice(void **state)
{
    (void)state;
    make(OS_FORK_KEEP, false);
    fill();
    for (int counts = 0; counts < 2; counts++) {
        bool first = counts != 0;
        in_child(free_first_child, &first);
    }
    layer_end_heap(heap);
}

static void allocate_many(void *context)
{
    char **taken = context;
    for (size_t i = 0; i < COUNT; i++) {
        taken[i] = keeper_get(heap, SIZE);
    }
}

static void other_thread_first_child(void *context)
{
    (void)context;
    static char *taken[COUNT];
    EXPECT_SAME(heap_fork_child(heap), 0);
    for (size_t i = 0; i < 5; i++) {
        heap_free(heap, buffers[i], SIZE);
    }
    layer_in_thread(allocate_many, taken);
    for (size_t i = 0; i < 10; i++) {
        char *mine = keeper_get(heap, SIZE);
        for (size_t j = 0; j < COUNT; j++) {
            EXPECT(mine != taken[j]);
        }
    }
    layer_check_heap(heap);
}

static void a_new_threads_search_leaves_other_magazines_alone(void **state)
{
    (void)state;
    make(OS_FORK_KEEP, false);
    fill();
    in_child(other_thread_first_child, NULL);
    layer_end_heap(heap);
}

static void stock_child(void *context)
{
    heap->forked_threaded = *(bool *)context;
    EXPECT_SAME(heap_fork_child(heap), 0);
    const struct magazine *stock = &heap->stocks[0]->magazines[size_class_of(SIZE)];
    EXPECT_SAME(magazine_count(stock), 0);
    EXPECT_SAME(layer_numbers(heap).cached_slots, 0);
    EXPECT_SAME(heap->room_taken, 0);
    layer_check_heap(heap);
    /* And it is filled anew. */
    for (size_t i = 0; i < COUNT; i++) {
        heap_free(heap, buffers[i], SIZE);
    }
    EXPECT(magazine_count(stock) > 0);
    layer_check_heap(heap);
    (void)heap_purge(heap);
    EXPECT_SAME(layer_numbers(heap).cached_slots, 0);
    EXPECT_SAME(layer_numbers(heap).live_count, 2);
}

static void a_child_forgets_the_stock(void **state)
{
    (void)state;
    char *more[COUNT];
    make(OS_FORK_KEEP, false);
    fill();
    for (size_t i = 0; i < COUNT; i++) {
        more[i] = keeper_get(heap, SIZE);
    }
    for (size_t i = 0; i < COUNT; i++) {
        heap_free(heap, more[i], SIZE);
    }
    assert_true(magazine_count(&heap->stocks[0]->magazines[size_class_of(SIZE)]) > 0);
    for (int threaded = 0; threaded < 2; threaded++) {
        bool was_threaded = threaded != 0;
        in_child(stock_child, &was_threaded);
    }
    layer_check_heap(heap);
    layer_end_heap(heap);
}

static void grandchild(void *context)
{
    recover_child(context);
}

static void child_with_child(void *context)
{
    EXPECT_SAME(heap_fork_child(heap), 0);
    in_child(grandchild, context);
    layer_check_heap(heap);
    EXPECT_SAME(atomic_load(&heap->forks), 2);
}

static void a_childs_child_is_as_well_off(void **state)
{
    (void)state;
    bool stopped = false;
    make(OS_FORK_KEEP, false);
    fill();
    layer_in_thread(leave_slots_in_a_magazine, NULL);
    in_child(child_with_child, &stopped);
    layer_end_heap(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_memory_is_locked_again_and_can_be_freed),
        cmocka_unit_test(slots_of_other_threads_magazines_are_found),
        cmocka_unit_test(slots_caught_before_their_wipe_are_wiped),
        cmocka_unit_test(spares_of_other_threads_are_found_and_wiped),
        cmocka_unit_test(spares_are_given_up_before_the_child_locks_again),
        cmocka_unit_test(slots_freed_before_the_search_are_not_found_twice),
        cmocka_unit_test(a_new_threads_search_leaves_other_magazines_alone),
        cmocka_unit_test(a_child_forgets_the_stock),
        cmocka_unit_test(a_childs_child_is_as_well_off),
    };
    return layer_run(tests);
}
