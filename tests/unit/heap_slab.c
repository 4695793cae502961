/* SPDX-License-Identifier: ISC */
#include "heap/slab.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "unit/expect.h"
#include "unit/fresh_heap.h"
#include "unit/heap_model.h"

enum { SLOTS_MAX = 8192 };

static struct slot slots[SLOTS_MAX];

static size_t take_home(uint32_t class, uint32_t home, struct slot *to, size_t count)
{
    int error = 0;
    struct slab_request request = {class, home, to, count, false};
    mutex_lock(&heap->slabs[class].mutex);
    size_t taken = slab_take(heap, &request, &error);
    if (taken == 0) {
        request.any_way = true;
        taken = slab_take(heap, &request, &error);
    }
    mutex_unlock(&heap->slabs[class].mutex);
    assert_true(taken > 0 || error == -ENOMEM);
    return taken;
}

static size_t take(uint32_t class, struct slot *to, size_t count)
{
    return take_home(class, 0, to, count);
}

static void put(uint32_t class, const struct slot *from, size_t count)
{
    mutex_lock(&heap->slabs[class].mutex);
    slab_put(heap, class, from, count);
    mutex_unlock(&heap->slabs[class].mutex);
}

static void check(uint32_t class)
{
    slab_validate(heap, class);
    layer_check_books(&heap->pages);
}

static int by_start(const void *a, const void *b)
{
    const struct slot *left = a;
    const struct slot *right = b;
    return (left->start > right->start) - (left->start < right->start);
}

static void check_distinct(struct slot *taken, size_t count, size_t slot_size)
{
    qsort(taken, count, sizeof(*taken), by_start);
    for (size_t i = 1; i < count; i++) {
        assert_true((char *)taken[i].start - (char *)taken[i - 1].start >= (long)slot_size);
        assert_ptr_not_equal(taken[i].record, taken[i - 1].record);
    }
}

static void every_slot_of_every_class_is_handed_out_once(void **state)
{
    (void)state;
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        const struct size_class *c = &heap->classes.at[class];
        if (c->slots == 0) {
            continue; /* not used with pages of this size */
        }
        size_t wanted = 3 * c->slots < SLOTS_MAX ? 3 * c->slots : SLOTS_MAX;
        size_t taken = 0;
        while (taken < wanted) {
            taken += take(class, slots + taken, wanted - taken);
            check(class);
        }
        check_distinct(slots, taken, c->slot_size);
        assert_int_equal(counter_read(&heap->slabs[class].all_slots), 3 * c->slots);
        assert_int_equal(counter_read(&heap->slabs[class].free_slots), 0);
        put(class, slots, taken);
        check(class);
        assert_int_equal(counter_read(&heap->slabs[class].all_slots), 0);
    }
}

static void slots_lie_in_their_slab_and_pages_name_it(void **state)
{
    (void)state;
    for (uint32_t class = 0; class < heap->classes.count; class ++) {
        const struct size_class *c = &heap->classes.at[class];
        if (c->slots == 0) {
            continue;
        }
        assert_int_equal(take(class, slots, 1), 1);
        struct place place = heap_place(heap, slots[0].start);
        assert_int_equal(place.kind, PLACE_SLOT);
        assert_int_equal(place.class, class);
        assert_ptr_equal(place.slot.start, slots[0].start);
        assert_ptr_equal(place.slot.record, slots[0].record);
        for (uint32_t i = 0; i < c->pages; i++) {
            assert_int_equal(place.region->entries[place.first_page + i], entry_of(class) + i);
        }
        put(class, slots, 1);
        for (uint32_t i = 0; i < c->pages; i++) {
            assert_int_equal(place.region->entries[place.first_page + i], 0);
        }
        const char *owner = (const char *)slab_at(heap, place.region, place.first_page);
        for (size_t i = 0; i < heap->pages.config.owner_stride; i++) {
            assert_int_equal(owner[i], 0);
        }
    }
}

/* Not by address, not by their number, and not the same twice. */
static void slots_leave_in_random_order(void **state)
{
    (void)state;
    uint32_t class = size_class_of(32);
    size_t count = heap->classes.at[class].slots;
    static size_t first[SLOTS_MAX];
    for (size_t turn = 0; turn < 2; turn++) {
        size_t ascending = 0;
        size_t same = 0;
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(take(class, &slots[i], 1), 1);
            ascending += i > 0 && slots[i].start > slots[i - 1].start;
            size_t place = (uintptr_t)slots[i].start % heap->page_size;
            same += turn > 0 && first[i] == place;
            first[i] = place;
        }
        assert_true(ascending > count / 5 && ascending < count - count / 5);
        assert_true(same < count / 5);
        put(class, slots, count);
    }
}

static void the_fullest_slab_gives_first(void **state)
{
    (void)state;
    uint32_t class = size_class_of(100);
    size_t count = heap->classes.at[class].slots;
    for (size_t i = 0; i < 3 * count; i++) {
        assert_int_equal(take(class, &slots[i], 1), 1);
    }
    qsort(slots, 3 * count, sizeof(slots[0]), by_start);
    /* Three slabs, that have three quarters, a quarter, and half of their slots free. */
    struct slot *slab[3] = {slots, slots + count, slots + 2 * count};
    put(class, slab[0], count * 3 / 4);
    put(class, slab[1], count / 4);
    put(class, slab[2], count / 2);
    check(class);
    struct slot next;
    for (size_t i = 0; i < count / 4; i++) {
        assert_int_equal(take(class, &next, 1), 1);
        assert_int_equal(heap_place(heap, next.start).first_page,
                         heap_place(heap, slab[1][0].start).first_page);
    }
    for (size_t i = 0; i < count / 2; i++) {
        assert_int_equal(take(class, &next, 1), 1);
        assert_int_equal(heap_place(heap, next.start).first_page,
                         heap_place(heap, slab[2][0].start).first_page);
    }
    check(class);
}

static void a_take_makes_one_slab_at_most(void **state)
{
    (void)state;
    uint32_t class = size_class_of(4000);
    size_t count = heap->classes.at[class].slots;
    assert_int_equal(take(class, slots, 100), count);
    assert_int_equal(take(class, slots + count, count + 1), count);
    /* What is free comes first, and if it is a quarter of what is wanted, none is made. */
    put(class, slots, (count + 3) / 4);
    assert_int_equal(take(class, slots, count), (count + 3) / 4);
    put(class, slots, 1);
    assert_int_equal(take(class, slots, count), count);
    check(class);
}

static void an_empty_slab_goes_back_to_the_pages(void **state)
{
    (void)state;
    uint32_t class = size_class_of(50);
    size_t count = heap->classes.at[class].slots;
    assert_int_equal(take(class, slots, count), count);
    uint64_t live = counter_read(&heap->pages.counters.live);
    assert_true(live > 0);
    put(class, slots, count - 1);
    assert_int_equal(counter_read(&heap->pages.counters.live), live);
    check(class);
    put(class, slots + count - 1, 1);
    assert_int_equal(counter_read(&heap->pages.counters.live), 0);
    check(class);
}

static void without_pages_take_says_why(void **state)
{
    (void)state;
    const int errors[] = {-ENOMEM, -EPERM};
    for (size_t i = 0; i < 2; i++) {
        int error = 0;
        os_faults.only = 1u << CALL_LOCK;
        os_faults.error = errors[i];
        os_faults_fail(1, true);
        struct slab_request request = {3, 0, slots, 4, i == 0};
        mutex_lock(&heap->slabs[3].mutex);
        assert_int_equal(slab_take(heap, &request, &error), 0);
        mutex_unlock(&heap->slabs[3].mutex);
        assert_int_equal(error, errors[i]);
        check(3);
    }
}

/* ---- homes ---- */

static struct slab *slab_of(const struct slot *slot)
{
    struct place place = heap_place(heap, slot->start);
    return slab_at(heap, place.region, place.first_page);
}

static void each_home_has_slabs_of_its_own(void **state)
{
    (void)state;
    for (uint32_t home = 0; home < HOMES; home++) {
        assert_int_equal(take_home(5, home, &slots[home], 1), 1);
        assert_int_equal(slab_home(heap, &slots[home]), home);
        for (uint32_t other = 0; other < home; other++) {
            assert_ptr_not_equal(slab_of(&slots[home]), slab_of(&slots[other]));
        }
    }
    check(5);
    for (uint32_t home = 0; home < HOMES; home++) {
        struct slot more[2];
        struct slab *slab = slab_of(&slots[home]);
        /* Full and with free slots again, it stays where it is. */
        size_t rest = take_home(5, home, slots + HOMES, slab->free_slots);
        put(5, slots + HOMES, rest);
        assert_int_equal(take_home(5, home, more, 2), 2);
        assert_ptr_equal(slab_of(&more[0]), slab);
        assert_ptr_equal(slab_of(&more[1]), slab);
        put(5, more, 2);
        check(5);
    }
    put(5, slots, HOMES);
    assert_int_equal(counter_read(&heap->slabs[5].all_slots), 0);
}

static void a_home_uses_anothers_slots_if_there_are_many(void **state)
{
    (void)state;
    size_t slab_slots = heap->classes.at[5].slots;
    size_t count = 6 * slab_slots;
    for (size_t taken = 0; taken < count;) {
        taken += take_home(5, 1, slots + taken, count - taken);
    }
    uint64_t all = counter_read(&heap->slabs[5].all_slots);
    /* One stays in each slab: by address they come slab by slab. */
    qsort(slots, count, sizeof(*slots), by_start);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || slab_of(&slots[i]) != slab_of(&slots[i - 1])) {
            kept++;
        } else {
            put(5, &slots[i], 1);
        }
    }
    assert_true(kept >= 6);
    struct slot one;
    assert_int_equal(take_home(5, 2, &one, 1), 1);
    assert_int_equal(slab_home(heap, &one), 1);
    assert_int_equal(counter_read(&heap->slabs[5].all_slots), all);
    check(5);
}

static void or_if_there_is_no_slab_to_be_had(void **state)
{
    (void)state;
    struct slot one;
    assert_int_equal(take_home(5, 1, slots, 1), 1);
    (void)heap_trim(heap); /* no page is left open */
    os_faults.only = 1u << CALL_LOCK;
    os_faults_fail(1, true);
    uint64_t failures = counter_read(&heap->pages.counters.lock_failures);
    assert_int_equal(take_home(5, 2, &one, 1), 1);
    assert_ptr_equal(slab_of(&one), slab_of(slots));
    assert_int_equal(counter_read(&heap->pages.counters.lock_failures), failures);
    check(5);
    os_faults_reset();
}

static void random_takes_and_puts_balance(void **state)
{
    (void)state;
    const uint32_t classes[] = {
        0, 1, 5, size_class_of(500), size_class_of(3000), heap->classes.count - 1};
    for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        uint32_t class = classes[i];
        size_t held = 0;
        model_begin(200 + i);
        for (model.step = 1; model.step <= 800; model.step++) {
            size_t room = SLOTS_MAX - held;
            if (model_below(2) == 0 && room > 64) {
                held += take(class, slots + held, 1 + model_below(32));
            } else if (held > 0) {
                size_t count = 1 + model_below(held < 40 ? (uint32_t)held : 40);
                size_t from = model_below((uint32_t)(held - count + 1));
                put(class, slots + from, count);
                memmove(slots + from, slots + from + count,
                        (held - from - count) * sizeof(slots[0]));
                held -= count;
            }
            slab_validate(heap, class);
            assert_int_equal(counter_read(&heap->slabs[class].all_slots) -
                                 counter_read(&heap->slabs[class].free_slots),
                             held);
        }
        check_distinct(slots, held, heap->classes.at[class].slot_size);
        put(class, slots, held);
        check(class);
        model_end();
    }
}

static void put_twice(void *context)
{
    put(*(uint32_t *)context, slots, 1);
    put(*(uint32_t *)context, slots, 1);
}

static void a_slot_that_is_put_twice_is_seen(void **state)
{
    (void)state;
    uint32_t class = 2;
    assert_int_equal(take(class, slots, 8), 8);
    assert_death_with(put_twice, &class, SIGABRT, "secure_malloc: fatal: broken invariant");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_slot_of_every_class_is_handed_out_once, fresh, end),
        cmocka_unit_test_setup_teardown(slots_lie_in_their_slab_and_pages_name_it, fresh, end),
        cmocka_unit_test_setup_teardown(slots_leave_in_random_order, fresh, end),
        cmocka_unit_test_setup_teardown(the_fullest_slab_gives_first, fresh, end),
        cmocka_unit_test_setup_teardown(a_take_makes_one_slab_at_most, fresh, end),
        cmocka_unit_test_setup_teardown(an_empty_slab_goes_back_to_the_pages, fresh, end),
        cmocka_unit_test_setup_teardown(without_pages_take_says_why, fresh, end),
        cmocka_unit_test_setup_teardown(each_home_has_slabs_of_its_own, fresh, end),
        cmocka_unit_test_setup_teardown(a_home_uses_anothers_slots_if_there_are_many, fresh, end),
        cmocka_unit_test_setup_teardown(or_if_there_is_no_slab_to_be_had, fresh, end),
        cmocka_unit_test_setup_teardown(random_takes_and_puts_balance, fresh, end),
        cmocka_unit_test_setup_teardown(a_slot_that_is_put_twice_is_seen, fresh, end),
    };
    return layer_run(tests);
}
