/* SPDX-License-Identifier: ISC */
/* Fork under wipe and drop, and children that are refused the lock. */
#include <errno.h>
#include <signal.h>

#include "unit/heap_child.h"

/* ---- wipe ---- */

static void wipe_child(void *context)
{
    (void)context;
    EXPECT_SAME(heap_fork_child(heap), 0);
    for (size_t i = 0; i < COUNT; i++) {
        EXPECT(view_is_all(buffers[i], SIZE, 0));
        EXPECT_SAME(heap_size_of(heap, buffers[i]), SIZE);
        heap_free(heap, buffers[i], SIZE);
    }
    EXPECT(view_is_all(large, LARGE_SIZE, 0) && view_is_all(guarded, SIZE, 0));
    heap_free(heap, large, LARGE_SIZE);
    int error = 0;
    EXPECT(heap_reallocate(heap, guarded, SIZE - 1, &error) == guarded);
    heap_free(heap, guarded, SIZE - 1);
    for (size_t i = 0; i < COUNT; i++) {
        memset(keeper_get(heap, SIZE), 'n', SIZE);
    }
    layer_check_heap(heap);
    layer_check_pages(&heap->pages);
}

static void wiped_memory_reads_zero_and_can_be_freed(void **state)
{
    (void)state;
    make(OS_FORK_WIPE, false);
    fill();
    in_child(wipe_child, NULL);
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(view_is_all(buffers[i], SIZE, (unsigned char)('a' + i % 26)));
    }
    layer_end_heap(heap);
}

static void overflow_in_wiped_child(void *context)
{
    (void)context;
    EXPECT_SAME(heap_fork_child(heap), 0);
    buffers[0][SIZE] = 1;
    heap_free(heap, buffers[0], SIZE);
}

static void overflow_of_new_buffer_in_wiped_child(void *context)
{
    (void)context;
    EXPECT_SAME(heap_fork_child(heap), 0);
    char *start = keeper_get(heap, SIZE);
    start[SIZE] = (char)(start[SIZE] ^ 1);
    heap_free(heap, start, SIZE);
}

static void touch_guard_in_wiped_child(void *context)
{
    EXPECT_SAME(heap_fork_child(heap), 0);
    *(volatile char *)context = 1;
}

static void a_wiped_childs_canaries_and_guards_still_hold(void **state)
{
    (void)state;
    make(OS_FORK_WIPE, false);
    fill();
    heap_fork_prepare(heap);
    assert_death(overflow_in_wiped_child, SIGABRT, "secure_malloc: fatal: buffer overflow");
    assert_death(overflow_of_new_buffer_in_wiped_child, SIGABRT,
                 "secure_malloc: fatal: buffer overflow");
    if (heap->pages.guards) {
        const struct region *region = layer_region(&heap->pages, REGION_SLABS);
        assert_death_with(touch_guard_in_wiped_child,
                          region_page(region, CHUNK_PAGES - 1, heap->page_shift), SIGSEGV, NULL);
    }
    heap_fork_done(heap);
    layer_end_heap(heap);
}

/* ---- drop ---- */

static void drop_child(void *context)
{
    (void)context;
    EXPECT_SAME(heap_fork_child(heap), 0);
    EXPECT_SAME(layer_numbers(heap).all_slots, 0);
    EXPECT_SAME(counter_read(&heap->pages.counters.locked), 0);
    heap_free(heap, buffers[0], SIZE);
    heap_free(heap, large, HEAP_ANY_SIZE);
    EXPECT(heap_owns(heap, buffers[0]));
    for (size_t i = 0; i < COUNT; i++) {
        memset(keeper_get(heap, SIZE), 'n', SIZE);
    }
    char *again = keeper_get(heap, LARGE_SIZE);
    heap_free(heap, again, LARGE_SIZE);
    layer_check_heap(heap);
    layer_check_pages(&heap->pages);
    EXPECT_SAME(layer_numbers(heap).live_count, COUNT);
}

static void read_dropped(void *context)
{
    EXPECT_SAME(heap_fork_child(heap), 0);
    volatile char byte = *(volatile char *)context;
    (void)byte;
}

static void ask_about_dropped(void *context)
{
    EXPECT_SAME(heap_fork_child(heap), 0);
    (void)heap_size_of(heap, context);
}

static void resize_dropped(void *context)
{
    int error = 0;
    EXPECT_SAME(heap_fork_child(heap), 0);
    (void)heap_reallocate(heap, context, 10, &error);
}

static void dropped_memory_is_gone_and_a_new_heap_begins(void **state)
{
    (void)state;
    make(OS_FORK_DROP, false);
    fill();
    in_child(drop_child, NULL);
    heap_fork_prepare(heap);
    assert_death_with(read_dropped, buffers[0], SIGSEGV, NULL);
    assert_death_with(read_dropped, large, SIGSEGV, NULL);
    assert_death_with(ask_about_dropped, buffers[0], SIGABRT,
                      "secure_malloc: fatal: invalid pointer");
    assert_death_with(resize_dropped, large, SIGABRT, "secure_malloc: fatal: invalid pointer");
    heap_fork_done(heap);
    layer_end_heap(heap);
}

/* ---- the lock is refused ---- */

static void refused_child(void *context)
{
    (void)context;
    os_faults.only = 1u << CALL_RELOCK;
    os_faults_fail(1, true);
    EXPECT_SAME(heap_fork_child(heap), -ENOMEM);
    os_faults_fail(0, false);
    EXPECT_SAME(counter_read(&heap->pages.counters.relock_failures), 1);
    if (!os_faults.pretend_locks) {
        EXPECT_SAME(view_charged(), 0);
    }
    EXPECT(memcmp(view_of(buffers[0]).access, "---p", 4) == 0);
    EXPECT(memcmp(view_of(large).access, "---p", 4) == 0);
    heap_free(heap, buffers[0], SIZE);
    memset(keeper_get(heap, SIZE), 'n', SIZE);
    layer_check_heap(heap);
    layer_check_pages(&heap->pages);
}

static void a_child_that_cannot_relock_loses_the_secrets(void **state)
{
    (void)state;
    const enum os_fork modes[] = {OS_FORK_KEEP, OS_FORK_WIPE};
    for (size_t i = 0; i < 2; i++) {
        make(modes[i], false);
        fill();
        in_child(refused_child, NULL);
        layer_end_heap(heap);
    }
}

static void forgiven_child(void *context)
{
    unsigned long refused = *(unsigned long *)context;
    os_faults.only = 1u << CALL_RELOCK;
    os_faults_fail(refused, refused == 1);
    EXPECT_SAME(heap_fork_child(heap), 0);
    os_faults_fail(0, false);
    if (refused == 1) {
        EXPECT_SAME(counter_read(&heap->pages.counters.locked), 0);
        EXPECT(counter_read(&heap->pages.counters.unlocked) > 0);
    }
    layer_check_heap(heap);
    for (size_t i = 0; i < COUNT; i++) {
        EXPECT(view_is_all(buffers[i], SIZE, (unsigned char)('a' + i % 26)));
        heap_free(heap, buffers[i], SIZE);
    }
    heap_free(heap, large, LARGE_SIZE);
    heap_free(heap, guarded, SIZE);
    (void)heap_purge(heap);
    layer_check_heap(heap);
    uint64_t unlocked = counter_read(&heap->pages.counters.unlocked);
    for (size_t i = 0; i < 10 * COUNT; i++) {
        memset(keeper_get(heap, 9 * SIZE), 'n', SIZE);
    }
    layer_check_heap(heap);
    EXPECT_SAME(counter_read(&heap->pages.counters.unlocked), unlocked);
    (void)heap_trim(heap);
    layer_check_heap(heap);
    layer_check_pages(&heap->pages);
}

static void best_effort_goes_on_unlocked_and_locks_what_comes_next(void **state)
{
    (void)state;
    make(OS_FORK_KEEP, true);
    for (size_t i = 0; i < 10 * COUNT; i++) { /* several chunks, guards among them */
        (void)keeper_get(heap, 4 * SIZE);
    }
    char *hole = keeper_get(heap, 20000);
    fill();
    heap_free(heap, hole, HEAP_ANY_SIZE); /* a free run between live ones */
    for (unsigned long refused = 1; refused <= 3; refused++) {
        in_child(forgiven_child, &refused);
    }
    layer_end_heap(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wiped_memory_reads_zero_and_can_be_freed),
        cmocka_unit_test(a_wiped_childs_canaries_and_guards_still_hold),
        cmocka_unit_test(dropped_memory_is_gone_and_a_new_heap_begins),
        cmocka_unit_test(a_child_that_cannot_relock_loses_the_secrets),
        cmocka_unit_test(best_effort_goes_on_unlocked_and_locks_what_comes_next),
    };
    return layer_run(tests);
}
