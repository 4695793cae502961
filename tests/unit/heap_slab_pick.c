/* SPDX-License-Identifier: ISC */
#include "heap/slab.h"

#include <string.h>

#include "unit/expect.h"
#include "unit/fresh_heap.h"

enum { SLOTS_MAX = 4096, WORDS_MAX = SLOTS_MAX / SLAB_MAP_BITS };

/* A slab that only this test knows of; where it lies there is nothing now. */
static union {
    struct slab slab;
    uint64_t words[sizeof(struct slab) / sizeof(uint64_t) + WORDS_MAX];
} memory;
static struct slab *const mine = &memory.slab;

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
    memset(&memory, 0, sizeof(memory));
    mine->region = registry_find(&heap->pages.registry, slot.start);
    mine->class = (uint8_t) class;
    mine->first_page = 3;
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
    uintptr_t first = mine->region->base + (mine->first_page << heap->page_shift);
    uintptr_t offset = (uintptr_t)slot->start - first;
    return (uint32_t)(offset / class_of_mine()->slot_size);
}

static bool is_free(uint32_t i)
{
    return (mine->free_map[i / SLAB_MAP_BITS] >> (i % SLAB_MAP_BITS) & 1) != 0;
}

/* A class of one word, of several, and with a last word that is not whole. */
static const size_t sizes[] = {8, 20, 32, 56, 64, 100, 1000, 4000};
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
                    struct slot slot =
                        slab_slot(heap, mine->region, mine->first_page, mine->class, index);
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

/* ... and the second, third and fourth have nothing to do with it: of each quarter of the first one
 * and each of theirs, each pair comes as often, 200 times on average. */
static void the_picks_that_follow_may_too(void **state)
{
    (void)state;
    enum { QUARTERS = 4, AT_ONCE = 4, EACH = 200 };
    for (size_t i = 0; i < SIZES; i++) {
        make_slab(size_class_of(sizes[i]), 0, 1);
        uint32_t slots = class_of_mine()->slots;
        if (slots < 32) {
            continue; /* what is taken already would show */
        }
        size_t pairs[AT_ONCE][QUARTERS][QUARTERS] = {0};
        for (size_t turn = 0; turn < EACH * QUARTERS * QUARTERS; turn++) {
            pick(AT_ONCE);
            for (size_t j = 0; j < AT_ONCE; j++) {
                pairs[j][index_of(&picked[0]) * QUARTERS / slots]
                     [index_of(&picked[j]) * QUARTERS / slots]++;
                set_free(index_of(&picked[j]));
            }
        }
        for (size_t j = 1; j < AT_ONCE; j++) {
            for (size_t pair = 0; pair < (size_t)QUARTERS * QUARTERS; pair++) {
                assert_in_range(pairs[j][pair / QUARTERS][pair % QUARTERS], EACH / 2, EACH * 3 / 2);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_free_is_picked_once_and_nothing_else, fresh, end),
        cmocka_unit_test_setup_teardown(the_only_free_slot_is_found_wherever_it_is, fresh, end),
        cmocka_unit_test_setup_teardown(the_first_pick_may_be_any_slot, fresh, end),
        cmocka_unit_test_setup_teardown(the_picks_that_follow_may_too, fresh, end),
    };
    return layer_run(tests);
}
