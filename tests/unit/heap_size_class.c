/* SPDX-License-Identifier: ISC */
#include "heap/size_class.h"

#include "heap/slab.h"
#include <stdbool.h>

#include "support/cmocka.h"

static const size_t page_sizes[] = {4096, 16384, 65536};
enum { PAGE_SIZES = sizeof(page_sizes) / sizeof(page_sizes[0]) };

static struct size_classes classes;

/* Between the ordinary ones of small pages and the aligned ones. */
static bool is_unused(uint32_t class)
{
    return class >= classes.ordinary && class < ALIGNED_FIRST;
}

static size_t last_size(void)
{
    return classes.at[classes.ordinary - 1].slot_size;
}

static size_t slack_of(uint32_t class)
{
    return classes.at[class].slot_size > FINE_MAX ? CANARY_WIDE : CANARY_MIN;
}

static void every_size_has_the_smallest_class_that_holds_it_and_a_canary(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        uint32_t expected = 0;
        size_classes_init(&classes, page_sizes[i]);
        for (size_t size = 0; size <= classes.size_max; size++) {
            while (classes.at[expected].slot_size < size + slack_of(expected)) {
                expected++;
            }
            assert_true(expected < classes.ordinary);
            if (size_class_of(size) != expected) { /* 100,000 asserts take their time */
                assert_int_equal(size_class_of(size), expected);
            }
        }
        assert_int_equal(expected, classes.ordinary - 1);
    }
}

static void classes_are_multiples_of_16_then_quarters_of_a_doubling(void **state)
{
    (void)state;
    static const uint32_t first[] = {16,  32,  48,  64,  80,  96,  112,  128,  144,
                                     160, 176, 192, 208, 224, 240, 256,  272,  336,
                                     400, 464, 528, 656, 784, 912, 1040, 1296, 1552};
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        size_classes_init(&classes, page_sizes[i]);
        for (size_t j = 0; j < sizeof(first) / sizeof(first[0]); j++) {
            assert_int_equal(classes.at[j].slot_size, first[j]);
        }
        /* They end at four pages, or where a length no longer fits a record. */
        size_t most = 4 * page_sizes[i] < 32752 ? 4 * page_sizes[i] : 32752;
        assert_true(last_size() <= most && last_size() + last_size() / 4 > most);
        assert_true(classes.size_max + 1 <= INT16_MAX);
        assert_int_equal(classes.size_max, last_size() - CANARY_WIDE);
        /* A power of two and its canary fit without waste. */
        for (size_t size = 128; size + SLOT_ALIGNMENT <= last_size(); size *= 2) {
            assert_int_equal(classes.at[size_class_of(size)].slot_size, size + SLOT_ALIGNMENT);
        }
    }
}

static void every_slot_size_is_a_multiple_of_16_and_a_slab_has_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        size_classes_init(&classes, page_sizes[i]);
        assert_true(classes.count <= CLASS_MAX);
        for (uint32_t class = 0; class < classes.count; class ++) {
            const struct size_class *c = &classes.at[class];
            size_t slab = c->pages * page_sizes[i];
            if (is_unused(class)) {
                continue;
            }
            assert_int_equal(c->slot_size % SLOT_ALIGNMENT, 0);
            assert_true(c->pages >= 1 && c->pages <= SLAB_PAGES_MAX);
            assert_int_equal(c->slots, slab / c->slot_size);
            assert_true(c->slots >= 1);
            /* Records and the free map lie with the first page. */
            assert_true(c->slots * sizeof(slot_record) <= slab_records_stride(page_sizes[i]));
            assert_true(sizeof(struct slab) + (c->slots + 7) / 8 <=
                        slab_owner_stride(page_sizes[i]));
        }
    }
}

static void slabs_are_short_and_waste_little(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        size_classes_init(&classes, page_sizes[i]);
        for (uint32_t class = 0; class < classes.count; class ++) {
            const struct size_class *c = &classes.at[class];
            size_t slab = c->pages * page_sizes[i];
            size_t waste = slab - c->slots * c->slot_size;
            if (is_unused(class)) {
                continue;
            }
            assert_true(c->slot_size > 256 || c->pages == 1);
            /* No shorter slab is good enough, and if none is, none wastes less. */
            for (size_t pages = 1; pages <= SLAB_PAGES_MAX; pages++) {
                size_t other = pages * page_sizes[i] % c->slot_size;
                bool holds = pages * page_sizes[i] >= c->slot_size;
                /* Single pages are for small slots. */
                bool single = pages == 1 && page_sizes[i] / c->slot_size < 8;
                bool good = holds && !single && other * 16 <= pages * page_sizes[i];
                assert_true(!good || pages >= c->pages);
                assert_true(!single || c->pages > 1);
                assert_true(waste * 16 <= slab || !holds || single ||
                            waste * pages <= other * c->pages);
            }
        }
    }
}

static void every_offset_of_a_slab_has_its_slot(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        size_classes_init(&classes, page_sizes[i]);
        for (uint32_t class = 0; class < classes.count; class ++) {
            const struct size_class *c = &classes.at[class];
            size_t slab = SLAB_PAGES_MAX * page_sizes[i];
            uint32_t index = 0;
            size_t end = c->slot_size;
            uint32_t wrong = 0;
            if (is_unused(class)) {
                continue;
            }
            for (size_t offset = 0; offset < slab; offset++) {
                if (offset == end) {
                    index++;
                    end += c->slot_size;
                }
                wrong |= slot_index(c, offset) ^ index;
            }
            assert_int_equal(wrong, 0);
        }
    }
}

static void magazines_hold_48_kib_but_2_to_80_slots(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        size_classes_init(&classes, page_sizes[i]);
        for (uint32_t class = 0; class < classes.count; class ++) {
            const struct size_class *c = &classes.at[class];
            if (is_unused(class)) {
                continue;
            }
            size_t fit = 49152 / c->slot_size;
            assert_int_equal(c->magazine, fit < 2 ? 2 : fit > 80 ? 80 : fit);
        }
    }
}

/* As the manual says. */
static void a_thread_that_has_used_every_size_keeps_1396_kib(void **state)
{
    (void)state;
    size_t bytes = 0;
    size_classes_init(&classes, 4096);
    for (uint32_t class = 0; class < classes.count; class ++) {
        bytes +=
            is_unused(class) ? 0 : (size_t)classes.at[class].magazine * classes.at[class].slot_size;
    }
    assert_in_range(bytes, 1396 * 1024 - 512, 1396 * 1024 + 511);
}

static void aligned_classes_begin_at_their_multiples(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        size_classes_init(&classes, page_sizes[i]);
        for (size_t alignment = 32; alignment <= ((size_t)1 << 20); alignment *= 2) {
            for (size_t size = 0; size <= 8192; size++) {
                uint32_t class = size_class_aligned(&classes, alignment, size);
                bool may_have = alignment <= ALIGNED_MAX && size + CANARY_MIN <= ALIGNED_MAX;
                if (!may_have) {
                    assert_int_equal(class, CLASS_MAX);
                    continue;
                }
                assert_true(class < classes.count);
                assert_int_equal(classes.at[class].slot_size % alignment, 0);
                assert_true(classes.at[class].slot_size >= size + CANARY_MIN);
            }
        }
        /* A slab begins at a page, so that multiples of its slots are aligned. */
        assert_true(ALIGNED_MAX <= page_sizes[i]);
    }
}

/* The fast path asks without knowing how many classes there are. */
static void sizes_without_a_class_here_find_an_empty_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAGE_SIZES; i++) {
        classes = (struct size_classes){0};
        size_classes_init(&classes, page_sizes[i]);
        for (size_t size = classes.size_max + 1; size <= SLOT_SIZE_MAX - CANARY_WIDE; size++) {
            if (!is_unused(size_class_of(size))) {
                fail();
            }
        }
        for (uint32_t class = classes.ordinary; class < ALIGNED_FIRST; class ++) {
            assert_int_equal(classes.at[class].slots, 0);
            assert_int_equal(classes.at[class].magazine, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_has_the_smallest_class_that_holds_it_and_a_canary),
        cmocka_unit_test(classes_are_multiples_of_16_then_quarters_of_a_doubling),
        cmocka_unit_test(every_slot_size_is_a_multiple_of_16_and_a_slab_has_room),
        cmocka_unit_test(slabs_are_short_and_waste_little),
        cmocka_unit_test(every_offset_of_a_slab_has_its_slot),
        cmocka_unit_test(magazines_hold_48_kib_but_2_to_80_slots),
        cmocka_unit_test(a_thread_that_has_used_every_size_keeps_1396_kib),
        cmocka_unit_test(sizes_without_a_class_here_find_an_empty_one),
        cmocka_unit_test(aligned_classes_begin_at_their_multiples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
