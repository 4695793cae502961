/* SPDX-License-Identifier: ISC */
/*
 * All mutexes are taken in one order. Every wait for a mutex while others are held is an edge from
 * those to it; if the edges of everything that the layers do have a circle, two threads may wait
 * for each other for ever, however seldom.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/check.h"
#include "unit/expect.h"
#include "unit/heap_model.h"

enum { MUTEXES = 80, HELD_AT_ONCE = 80 };

void __real_mutex_lock(struct mutex *mutex);
bool __real_mutex_try_lock(struct mutex *mutex);
void __real_mutex_unlock(struct mutex *mutex);
void __wrap_mutex_lock(struct mutex *mutex);
bool __wrap_mutex_try_lock(struct mutex *mutex);
void __wrap_mutex_unlock(struct mutex *mutex);

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static const struct mutex *seen[MUTEXES];
static size_t seen_count;
static bool before[MUTEXES][MUTEXES]; /* [a][b]: a was held while b was waited for */

static __thread size_t held[HELD_AT_ONCE];
static __thread size_t held_count;

static size_t number_of(const struct mutex *mutex)
{
    for (size_t i = 0; i < seen_count; i++) {
        if (seen[i] == mutex) {
            return i;
        }
    }
    REQUIRE(seen_count < MUTEXES);
    seen[seen_count] = mutex;
    return seen_count++;
}

static void note(const struct mutex *mutex, bool waited)
{
    pthread_mutex_lock(&guard);
    size_t number = number_of(mutex);
    for (size_t i = 0; waited && i < held_count; i++) {
        before[held[i]][number] = true;
    }
    REQUIRE(held_count < HELD_AT_ONCE);
    held[held_count++] = number;
    pthread_mutex_unlock(&guard);
}

void __wrap_mutex_lock(struct mutex *mutex)
{
    note(mutex, true);
    __real_mutex_lock(mutex);
}

bool __wrap_mutex_try_lock(struct mutex *mutex)
{
    bool taken = __real_mutex_try_lock(mutex);
    if (taken) {
        note(mutex, false);
    }
    return taken;
}

static void drop(const struct mutex *mutex)
{
    pthread_mutex_lock(&guard);
    size_t number = number_of(mutex);
    size_t i = held_count;
    while (i > 0 && held[i - 1] != number) {
        i--;
    }
    REQUIRE(i > 0);
    memmove(&held[i - 1], &held[i], (held_count - i) * sizeof(held[0]));
    held_count--;
    pthread_mutex_unlock(&guard);
}

void __wrap_mutex_unlock(struct mutex *mutex)
{
    drop(mutex);
    __real_mutex_unlock(mutex);
}

/* Is there a way from a to b? */
static bool leads_to(size_t a, size_t b, bool *visited)
{
    visited[a] = true;
    for (size_t next = 0; next < seen_count; next++) {
        if (before[a][next] && (next == b || (!visited[next] && leads_to(next, b, visited)))) {
            return true;
        }
    }
    return false;
}

static void check_order(void)
{
    for (size_t i = 0; i < seen_count; i++) {
        bool visited[MUTEXES] = {false};
        assert_false(leads_to(i, i, visited));
    }
}

static struct heap *heap;

static void forget(const struct heap_config *config)
{
    heap = layer_heap(config);
    seen_count = 0;
    memset(before, 0, sizeof(before));
}

static void use_everything(void *context)
{
    int error = 0;
    char *kept[200];
    (void)context;
    for (size_t i = 0; i < 200; i++) {
        kept[i] = keeper_get(heap, i * i);
    }
    for (size_t i = 0; i < 200; i++) {
        kept[i] = heap_reallocate(heap, kept[i], i * 100, &error);
    }
    for (size_t i = 0; i < 200; i += 2) {
        heap_free(heap, kept[i], HEAP_ANY_SIZE);
    }
    (void)layer_numbers(heap);
    (void)heap_purge(heap);
    (void)heap_trim(heap);
    heap_validate(heap);
    for (size_t i = 1; i < 200; i += 2) {
        heap_free(heap, kept[i], HEAP_ANY_SIZE);
    }
    heap_zeroize(heap);
    heap_free(heap, heap_allocate_guarded(heap, 100, &error), 100);
    heap_free(heap, heap_allocate_aligned(heap, 512, 100, &error), 100);
    pages_unlock_unused(&heap->pages);
    heap_fork_prepare(heap);
    heap_fork_done(heap);
    heap_thread_exit(heap, cache_mine);
    heap_free(heap, keeper_get(heap, 100), 100);
    REQUIRE(held_count == 0);
}

static void mutexes_are_taken_in_one_order(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    for (int turn = 0; turn < 2; turn++) {
        config.pages.purge_limit = turn == 0 ? 0 : UINT64_MAX;
        forget(&config);
        layer_in_thread(use_everything, NULL);
        layer_in_thread(use_everything, NULL);
        assert_true(seen_count > heap->classes.count);
        check_order();
        layer_end_heap(heap);
    }
}

/* Also when nothing is to be had, and what is free must be looked for. */
static void use_up(void *context)
{
    char *last = NULL;
    char *next = NULL;
    int error = 0;
    (void)context;
    while ((next = heap_allocate(heap, 3000, &error)) != NULL) {
        last = next;
    }
    heap_free(heap, last, 3000);
    REQUIRE(heap_allocate(heap, 1 << 20, &error) == NULL);
    heap_fork_prepare(heap);
    heap_fork_done(heap);
    heap_thread_exit(heap, cache_mine);
}

static void in_one_order_at_the_limit_too(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    config.pages.lock_limit = 100 * config.pages.page_size;
    forget(&config);
    layer_in_thread(use_up, NULL);
    check_order();
    layer_end_heap(heap);
}

static void a_circle_is_seen(void **state)
{
    (void)state;
    static const struct mutex one = MUTEX_INIT;
    static const struct mutex two = MUTEX_INIT;
    bool visited[MUTEXES] = {false};
    seen_count = 0;
    memset(before, 0, sizeof(before));
    note(&one, true);
    note(&two, true);
    drop(&one);
    drop(&two);
    check_order();
    note(&two, true);
    note(&one, false); /* only tried */
    drop(&one);
    check_order();
    note(&one, true);
    drop(&one);
    drop(&two);
    assert_true(leads_to(0, 0, visited));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_circle_is_seen),
        cmocka_unit_test(mutexes_are_taken_in_one_order),
        cmocka_unit_test(in_one_order_at_the_limit_too),
    };
    return layer_run(tests);
}
