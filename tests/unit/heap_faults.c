/* SPDX-License-Identifier: ISC */
/* Every call to the system fails once, and every one from some point on: an allocation says so and
 * changes nothing, and a second try succeeds. */
#include <errno.h>

#include "unit/expect.h"
#include "unit/heap_model.h"

static struct keeper kept;

static const size_t sizes[] = {0, 1, 24, 100, 500, 1024, 3000, 9000, 20000, 50000, 200000};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static int allocate(size_t size)
{
    return keeper_allocate(&kept, size);
}

static int allocate_guarded(size_t size)
{
    return keeper_allocate_guarded(&kept, size);
}

static int allocate_aligned(size_t size)
{
    return keeper_allocate_aligned(&kept, 4096, size);
}

static int resize_first(size_t size)
{
    return keeper_resize(&kept, 0, size);
}

static int resize_last(size_t size)
{
    return keeper_resize(&kept, kept.count - 1, size);
}

static void must(int (*operation)(size_t), size_t argument)
{
    int error = operation(argument);
    keeper_check_numbers(&kept);
    if (error != 0) {
        assert_int_equal(error, -ENOMEM);
        os_faults_fail(0, false);
        assert_int_equal(operation(argument), 0);
        keeper_check_numbers(&kept);
    }
}

static void workload(void)
{
    for (size_t i = 0; i < SIZES; i++) {
        must(allocate, sizes[i]);
        must(allocate_guarded, sizes[i] / 7);
        must(allocate_aligned, sizes[i]);
    }
    for (size_t i = 0; i < SIZES; i++) {
        must(resize_first, sizes[(i * 5) % SIZES]);
        must(resize_last, sizes[(i * 3) % SIZES]);
    }
    (void)heap_purge(kept.heap);
    keeper_check_numbers(&kept);
    while (kept.count > 3) {
        keeper_free(&kept, kept.count / 2);
    }
    keeper_check_numbers(&kept);
    (void)heap_trim(kept.heap);
    must(allocate, 100);
    must(allocate, 70000);
    keeper_free_all(&kept);
    keeper_check_numbers(&kept);
}

static void end(void)
{
    os_faults_fail(0, false);
    (void)heap_trim(kept.heap);
    assert_int_equal(layer_numbers(kept.heap).all_slots, 0);
    assert_int_equal(counter_read(&kept.heap->pages.counters.locked), 0);
    assert_int_equal(kept.heap->pages.unlocked_free, 0);
    layer_check_pages(&kept.heap->pages);
    layer_end_heap(kept.heap);
}

/* secure_protect's own failure is tested with heap/large_change.c. Within the library a failure to
 * protect is fatal: the run is a mapping of its own. */
static const uint32_t MAY_FAIL = ~(1u << CALL_PROTECT);

static void fail_each(const struct heap_config *config)
{
    unsigned long failed = 1;
    unsigned long at = 0;
    while (failed > 0) {
        kept = (struct keeper){.heap = layer_heap(config)};
        os_faults.only = MAY_FAIL;
        os_faults_fail(++at, false);
        workload();
        failed = os_faults.fail_at != 0 ? os_faults.failed : 1;
        end();
    }
    assert_true(at > 20);
}

static void any_call_may_fail_once(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    model_begin(1);
    fail_each(&config);
    config.pages.best_effort = true;
    config.pages.purge_limit = 0;
    fail_each(&config);
    model_end();
}

static void all_calls_may_fail_from_some_point_on(void **state)
{
    (void)state;
    struct heap_config config = layer_heap_config();
    for (unsigned long at = 1; at < 120; at += 1 + at / 8) {
        model_begin(at);
        kept = (struct keeper){.heap = layer_heap(&config)};
        os_faults.only = MAY_FAIL;
        os_faults_fail(at, true);
        for (model.step = 1; model.step <= 200; model.step++) {
            size_t size = sizes[model_below(SIZES)];
            uint32_t what = model_below(8);
            int (*const operations[])(size_t) = {allocate, allocate_guarded, allocate_aligned,
                                                 allocate, resize_last};
            if (what < 5 && (what < 4 || kept.count > 0)) {
                int error = operations[what](size);
                assert_true(error == 0 || error == -ENOMEM);
            } else if (kept.count > 0) {
                keeper_free(&kept, model_below((uint32_t)kept.count));
            }
            keeper_check_numbers(&kept);
        }
        os_faults_fail(0, false);
        for (size_t i = 0; i < SIZES; i++) {
            assert_int_equal(allocate(sizes[i]), 0);
        }
        keeper_free_all(&kept);
        keeper_check_numbers(&kept);
        end();
        model_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(any_call_may_fail_once, model_teardown),
        cmocka_unit_test_teardown(all_calls_may_fail_from_some_point_on, model_teardown),
    };
    return layer_run(tests);
}
