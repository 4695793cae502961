/* SPDX-License-Identifier: ISC */
#include "heap/slab.h"

#include <stdlib.h>

#include "unit/expect.h"
#include "unit/fresh_heap.h"

enum { SLOTS_MAX = 4096, WORDS_MAX = SLOTS_MAX / SLAB_MAP_BITS };

/* A slab that nobody else knows of, where there is one. */
static uint64_t memory[sizeof(struct slab) / sizeof(uint64_t) + WORDS_MAX];
static struct slab *const mine = (struct slab *)(void *)memory;

static struct slot picked[SLOTS_MAX];
static size_t times[SLOTS_MAX];

static const struct size_class *class_of_mine(void)
{
    return &heap->classes.at[mine->class];
}

static void set_free(uint32_t i)
{
    mine->free_map[i / SLAB_MAP_BITS] |= UINT64_C(1) << (i % SLAB_MAP_BITS);
    mine->free_slots++;
}

/* Every step-th slot from the first one on is free. */
static void make_slab(uint32_t class, uint32_t first, uint32_t step)
{
    struct slot slot;
    int error = 0;
    struct slab_request request = {class, 0, &slot, 1, false};
    mutex_lock(&heap->slabs[class].mutex);
    assert_int_equal(slab_take(heap, &request, &error), 1);
    slab_put(heap, class, &slot, 1);
    mutex_unlock(&heap->slabs[class].mutex);
    memset(memory, 0, sizeof(memory));
    mine->region = registry_find(&heap->pages.registry, slot.start);
    mine->class = (uint8_t) class;
    for (uint32_t i = first; i < class_of_mine()->slots; i += step) {
        set_free(i);
    }
}

static void pick(size_t count)
{
    slab_pick(heap, mine, picked, count);
    mine->free_slots = (uint16_t)(mine->free_slots - count);
}

static uint32_t index_of(const struct slot *slot)
{
    uintptr_t offset = (uintptr_t)slot->start - mine->region->base;
    return (uint32_t)(offset / class_of_mine()->slot_size);
}

static bool is_free(uint32_t i)
{
    return (mine->free_map[i / SLAB_MAP_BITS] >> (i % SLAB_MAP_BITS) & 1) != 0;
}

/* A class of one word, of several, and with a last word that is not whole. */
static const size_t sizes[] = {1, 8, 20, 32, 64, 100, 1000, 4000};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static void what_is_free_is_picked_once_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        for (uint32_t step = 1; step < 5; step++) {
            make_slab(size_class_of(sizes[i]), step - 1, step);
            const struct size_class *c = class_of_mine();
            memset(times, 0, sizeof(times));
            while (mine->free_slots > 0) {
                size_t count = mine->free_slots < 7 ? mine->free_slots : 7;
                pick(count);
                for (size_t j = 0; j < count; j++) {
                    uint32_t index = index_of(&picked[j]);
                    struct slot slot = slab_slot(heap, mine->region, 0, mine->class, index);
                    assert_true(index < c->slots);
                    assert_ptr_equal(picked[j].start, slot.start);
                    assert_ptr_equal(picked[j].record, slot.record);
                    assert_false(is_free(index));
                    times[index]++;
                }
            }
            for (uint32_t j = 0; j < c->slots; j++) {
                assert_false(is_free(j));
                assert_int_equal(times[j], j >= step - 1 && (j - (step - 1)) % step == 0 ? 1 : 0);
            }
        }
    }
}

static void the_only_free_slot_is_found_wherever_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        make_slab(size_class_of(sizes[i]), SLOTS_MAX, 1);
        for (uint32_t j = 0; j < class_of_mine()->slots; j++) {
            set_free(j);
            pick(1);
            assert_int_equal(index_of(&picked[0]), j);
        }
    }
}

/* Of a slab that is all free, each slot comes first as often as any other: 400 times on average,
 * with a standard deviation of 20. */
static void the_first_pick_may_be_any_slot(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZES; i++) {
        make_slab(size_class_of(sizes[i]), 0, 1);
        uint32_t slots = class_of_mine()->slots;
        memset(times, 0, sizeof(times));
        for (uint32_t j = 0; j < 400 * slots; j++) {
            pick(1);
            times[index_of(&picked[0])]++;
            set_free(index_of(&picked[0]));
        }
        for (uint32_t j = 0; j < slots; j++) {
            assert_in_range(times[j], 200, 600);
        }
    }
}

/* ... and so do the second, the third and the fourth of one random number. */
static void picks_of_one_call_do_not_follow_each_other(void **state)
{
    (void)state;
    enum { TURNS = 400, AT_ONCE = 8 };
    for (size_t i = 0; i < SIZES - 2; i++) {
        size_t above = 0;
        size_t next = 0;
        for (size_t turn = 0; turn < TURNS; turn++) {
            make_slab(size_class_of(sizes[i]), 0, 1);
            pick(AT_ONCE);
            for (size_t j = 1; j < AT_ONCE; j++) {
                above += picked[j].start > picked[j - 1].start;
                next += index_of(&picked[j]) == index_of(&picked[j - 1]) + 1;
            }
        }
        size_t all = (size_t)TURNS * (AT_ONCE - 1);
        assert_in_range(above, all * 2 / 5, all * 3 / 5);
        /* One in as many as there are slots, of which the smallest slab here has over 30. */
        assert_true(next < all / 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_free_is_picked_once_and_nothing_else, fresh, end),
        cmocka_unit_test_setup_teardown(the_only_free_slot_is_found_wherever_it_is, fresh, end),
        cmocka_unit_test_setup_teardown(the_first_pick_may_be_any_slot, fresh, end),
        cmocka_unit_test_setup_teardown(picks_of_one_call_do_not_follow_each_other, fresh, end),
    };
    return layer_run(tests);
}
