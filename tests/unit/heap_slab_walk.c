/* SPDX-License-Identifier: ISC */
#include "heap/slab.h"

#include <signal.h>

#include "unit/expect.h"
#include "unit/heap_model.h"
#include "unit/os_view.h"

static struct heap *heap;
static const size_t sizes[] = {1, 24, 100, 500, 3000, 9000};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]), EACH = 70 };
static char *buffers[SIZES][EACH];

static int fresh(void **state)
{
    struct heap_config config = layer_heap_config();
    (void)state;
    heap = layer_heap(&config);
    for (size_t i = 0; i < EACH; i++) {
        for (size_t j = 0; j < SIZES; j++) {
            buffers[j][i] = keeper_get(heap, sizes[j]);
            memset(buffers[j][i], 'x', sizes[j]);
        }
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    layer_end_heap(heap);
    return 0;
}

struct seen {
    uint32_t slabs[CLASS_MAX];
    uint64_t pages;
};

static void note(struct heap *of, struct region *region, size_t page, uint32_t class, void *context)
{
    struct seen *seen = context;
    struct slab *slab = slab_at(of, region, page);
    assert_ptr_equal(slab->region, region);
    assert_int_equal(slab->class, class);
    seen->slabs[class]++;
    seen->pages += of->classes.at[class].pages;
}

static void every_live_slab_is_visited_once(void **state)
{
    (void)state;
    struct seen seen = {0};
    slab_visit_all(heap, note, &seen);
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        assert_int_equal(counter_read(&heap->slabs[class].all_slots),
                         seen.slabs[class] * heap->classes.at[class].slots);
    }
    assert_int_equal(counter_read(&heap->pages.counters.live), seen.pages * heap->page_size);
}

static void slabs_that_are_given_back_are_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < EACH; i++) {
        for (size_t j = 0; j < SIZES; j += 2) {
            heap_free(heap, buffers[j][i], sizes[j]);
        }
    }
    (void)heap_purge(heap); /* flushes */
    every_live_slab_is_visited_once(NULL);
}

/* As if a thread that is not here any more had had every third slot. */
static void lose(size_t which, bool wiped)
{
    for (size_t i = 0; i < EACH; i += 3) {
        struct place place = heap_place(heap, buffers[which][i]);
        if (wiped) {
            memset(buffers[which][i], 0, heap->classes.at[place.class].slot_size);
        }
        atomic_store(place.slot.record, 0);
    }
}

static void recovered_slots_are_wiped_and_free_again(void **state)
{
    (void)state;
    uint64_t free_slots[SIZES];
    uint64_t all_slots[SIZES];
    const uint64_t lost = (EACH + 2) / 3;
    (void)heap_purge(heap); /* nothing is in a magazine */
    for (size_t which = 0; which < SIZES; which++) {
        const struct class_slabs *slabs = &heap->slabs[size_class_of(sizes[which])];
        free_slots[which] = counter_read(&slabs->free_slots);
        all_slots[which] = counter_read(&slabs->all_slots);
        lose(which, which % 2 == 0);
    }
    slab_recover_all(heap);
    for (size_t which = 0; which < SIZES; which++) {
        uint32_t class = size_class_of(sizes[which]);
        const struct class_slabs *slabs = &heap->slabs[class];
        slab_validate(heap, class);
        uint64_t gone = all_slots[which] - counter_read(&slabs->all_slots);
        assert_int_equal(counter_read(&slabs->free_slots), free_slots[which] + lost - gone);
        assert_int_equal(counter_read(&slabs->live_bytes), (EACH - lost) * sizes[which]);
        for (size_t i = 0; i < EACH; i++) {
            unsigned char expected = i % 3 == 0 ? 0 : 'x';
            assert_true(view_is_all(buffers[which][i], sizes[which], expected));
        }
    }
    for (size_t which = 0; which < SIZES; which++) {
        for (size_t i = 0; i < 2 * EACH; i++) { /* check_free looks at each */
            memset(keeper_get(heap, sizes[which]), 'y', sizes[which]);
        }
        slab_validate(heap, size_class_of(sizes[which]));
    }
}

static void a_slab_whose_last_slot_is_recovered_goes_back(void **state)
{
    (void)state;
    (void)heap_purge(heap);
    uint32_t class = size_class_of(sizes[5]);
    for (size_t i = 0; i < EACH; i++) {
        atomic_store(heap_place(heap, buffers[5][i]).slot.record, 0);
    }
    slab_recover_all(heap);
    assert_int_equal(counter_read(&heap->slabs[class].all_slots), 0);
    slab_validate(heap, class);
    layer_check_books(&heap->pages);
}

static void break_free_slots(void *context)
{
    struct place place = heap_place(heap, context);
    slab_at(heap, place.region, place.first_page)->free_slots++;
    slab_validate(heap, place.class);
}

static void break_record(void *context)
{
    struct place place = heap_place(heap, context);
    struct slab *slab = slab_at(heap, place.region, place.first_page);
    uint32_t free_slot = (uint32_t)__builtin_ctzll(slab->free_map[0]);
    atomic_store(slab_slot(heap, place.region, place.first_page, place.class, free_slot).record, 5);
    slab_validate(heap, place.class);
}

static void a_broken_slab_is_seen(void **state)
{
    (void)state;
    char *last = keeper_get(heap, 24);
    (void)heap_purge(heap); /* the rest of its slab is free */
    assert_true(slab_at(heap, heap_place(heap, last).region, heap_place(heap, last).first_page)
                    ->free_map[0] != 0);
    assert_death_with(break_free_slots, last, SIGABRT, "secure_malloc: fatal: broken invariant");
    assert_death_with(break_record, last, SIGABRT, "secure_malloc: fatal: broken invariant");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_live_slab_is_visited_once, fresh, end),
        cmocka_unit_test_setup_teardown(slabs_that_are_given_back_are_not, fresh, end),
        cmocka_unit_test_setup_teardown(recovered_slots_are_wiped_and_free_again, fresh, end),
        cmocka_unit_test_setup_teardown(a_slab_whose_last_slot_is_recovered_goes_back, fresh, end),
        cmocka_unit_test_setup_teardown(a_broken_slab_is_seen, fresh, end),
    };
    return layer_run(tests);
}
