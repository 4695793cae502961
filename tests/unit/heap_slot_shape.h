/* SPDX-License-Identifier: ISC */
/* The tests of heap/slot_shape.h: each program includes its own kind of lines before. */
#ifndef SECURE_MALLOC_TESTS_UNIT_HEAP_SLOT_SHAPE_H
#define SECURE_MALLOC_TESTS_UNIT_HEAP_SLOT_SHAPE_H

#include <string.h>

#include "heap/slot.h"
#include "support/cmocka.h"
#include "unit/os_view.h"

enum { SHAPED_SIZE_MAX = 1024, SHAPED_SLOT_MAX = 1040, MARGIN = 64, CALLERS = 0xa5 };

/* A shape as the code has it: each of its constants is known to the compiler. */
struct shaped {
    struct slot_shape shape;
    bool (*is_zero)(const char *start, const char *end);
    void (*wipe)(char *start, char *end);
    void (*write)(char *start, char *end, size_t size, uint64_t word);
    bool (*holds)(char *start, char *end, size_t size, uint64_t word);
};

#define SHAPED(name)                                                                               \
    static bool is_zero_##name(const char *start, const char *end)                                 \
    {                                                                                              \
        return shape_is_zero(SHAPE_##name, start, end);                                            \
    }                                                                                              \
    static void wipe_##name(char *start, char *end)                                                \
    {                                                                                              \
        shape_wipe(SHAPE_##name, start, end);                                                      \
    }                                                                                              \
    static void write_##name(char *start, char *end, size_t size, uint64_t word)                   \
    {                                                                                              \
        shape_write_canary(SHAPE_##name, start, end, size, word);                                  \
    }                                                                                              \
    static bool holds_##name(char *start, char *end, size_t size, uint64_t word)                   \
    {                                                                                              \
        return shape_canary_holds(SHAPE_##name, start, end, size, word);                           \
    }

#define SHAPED_ENTRY(name)                                                                         \
    {                                                                                              \
        SHAPE_##name, is_zero_##name, wipe_##name, write_##name, holds_##name                      \
    }

SHAPED(KEY)
SHAPED(48)
SHAPED(LONG_KEY)
SHAPED(LONGEST_KEY)
SHAPED(16)
SHAPED(272)
SHAPED(528)
SHAPED(1040)

static const struct shaped shaped_key = SHAPED_ENTRY(KEY);
static const struct shaped shaped_48 = SHAPED_ENTRY(48);
static const struct shaped shaped_long_key = SHAPED_ENTRY(LONG_KEY);
static const struct shaped shaped_longest_key = SHAPED_ENTRY(LONGEST_KEY);
static const struct shaped shaped_others[] = {SHAPED_ENTRY(16), SHAPED_ENTRY(272),
                                              SHAPED_ENTRY(528), SHAPED_ENTRY(1040)};

static struct size_classes shaped_classes;

/* A margin on either side, and room to begin at an odd multiple of 16. */
static _Alignas(64) char shaped_room[MARGIN + SLOT_ALIGNMENT + SHAPED_SLOT_MAX + MARGIN];

static int shaped_setup(void **state)
{
    (void)state;
    size_classes_init(&shaped_classes, 4096);
    return 0;
}

/* What the fast path takes for a size that is no key's, or is treated as none. */
static const struct shaped *shaped_for(size_t size)
{
    const struct shaped *shaped = shaped_others;
    while (size > shaped->shape.size_max) {
        shaped++;
    }
    return shaped;
}

static const uint64_t shaped_word = UINT64_C(0x8ab4c6d8eafc8e92);

/* One use of a shape with a size, at an even and, where slots lie at those, at an odd multiple
 * of 16. */
struct use {
    const struct shaped *shaped;
    size_t size;
    char *start, *end;
};

typedef void use_body(const struct use *use);

static void use_both_places(const struct shaped *shaped, size_t size, use_body *body)
{
    size_t slot_size = shape_slot_size(shaped->shape, shape_class_of(shaped->shape, size));
    size_t places = slot_size % (2 * SLOT_ALIGNMENT) == 0 ? 1 : 2;
    for (size_t odd = 0; odd < places; odd++) {
        char *start = shaped_room + MARGIN + odd * SLOT_ALIGNMENT;
        body(&(struct use){shaped, size, start, start + slot_size});
    }
}

static void use_all_shapes(size_t size, use_body *body)
{
    use_both_places(shaped_for(size), size, body);
    if (!slot_is_key(size)) {
        return;
    }
    use_both_places(size <= SHAPE_KEY.size_max        ? &shaped_key
                    : size <= SHAPE_LONG_KEY.size_max ? &shaped_long_key
                                                      : &shaped_longest_key,
                    size, body);
    if (size_class_of(size) == SHAPE_48.first) {
        use_both_places(&shaped_48, size, body);
    }
}

static void for_every_size(use_body *body)
{
    for (size_t size = 0; size <= SHAPED_SIZE_MAX; size++) {
        use_all_shapes(size, body);
    }
}

/* What a shape does to a slot depends on its class alone: the longest size of each. */
static void for_every_class(use_body *body)
{
    for (size_t size = 0; size <= SHAPED_SIZE_MAX; size++) {
        if (size_class_of(size) != size_class_of(size + 1)) {
            use_all_shapes(size, body);
        }
    }
}

static void expect_margins(const struct use *use, unsigned char byte)
{
    const char *room_end = shaped_room + sizeof(shaped_room);
    if (!view_is_all(shaped_room, (size_t)(use->start - shaped_room), byte) ||
        !view_is_all(use->end, (size_t)(room_end - use->end), byte)) {
        print_error("size %zu: written outside of the slot\n", use->size);
        fail();
    }
}

static void expect(const struct use *use, bool condition, size_t at)
{
    if (!condition) {
        print_error("size %zu, byte %zu\n", use->size, at);
        fail();
    }
}

/* ---- sizes ---- */

static void keys_are_16_to_264_bytes_in_eights(void **state)
{
    (void)state;
    for (size_t size = 0; size < 5000; size++) {
        assert_int_equal(slot_is_key(size), size >= 16 && size <= 264 && size % 8 == 0);
    }
    assert_false(slot_is_key(SIZE_MAX));
    assert_false(slot_is_key(SIZE_MAX - 7));
    assert_false(slot_is_key(((size_t)1 << 61) + 16));
}

static void check_class(const struct use *use)
{
    size_t class = shape_class_of(use->shaped->shape, use->size);
    assert_int_equal(class, size_class_of(use->size));
    assert_int_equal(shape_slot_size(use->shaped->shape, class),
                     shaped_classes.at[class].slot_size);
    assert_true(use->size <= use->shaped->shape.size_max);
}

static void a_shapes_classes_are_those_of_its_sizes(void **state)
{
    (void)state;
    for_every_size(check_class);
    assert_int_equal(shape_class_of(SHAPE_1040, SHAPED_SIZE_MAX), 24);
    assert_int_equal(shape_class_of(SHAPE_1040, SHAPE_1040.size_max), 24);
    assert_int_equal(shape_class_of(SHAPE_KEY, KEY_MIN), SHAPE_KEY.first);
    assert_int_equal(shape_class_of(SHAPE_LONGEST_KEY, KEY_MAX), SHAPE_528.first - 1);
}

/* ---- zeros ---- */

static void check_is_zero(const struct use *use)
{
    memset(shaped_room, 0xff, sizeof(shaped_room));
    memset(use->start, 0, (size_t)(use->end - use->start));
    expect(use, use->shaped->is_zero(use->start, use->end), 0); /* what lies outside is not seen */
    for (char *at = use->start; at < use->end; at++) {
        *at = (char)(1 << (at - use->start) % 8);
        expect(use, !use->shaped->is_zero(use->start, use->end), (size_t)(at - use->start));
        *at = 0;
    }
}

static void one_byte_that_is_not_zero_is_seen(void **state)
{
    (void)state;
    for_every_class(check_is_zero);
}

static void check_wipe(const struct use *use)
{
    memset(shaped_room, 0xff, sizeof(shaped_room));
    use->shaped->wipe(use->start, use->end);
    expect(use, view_is_all(use->start, (size_t)(use->end - use->start), 0), 0);
    expect_margins(use, 0xff);
}

static void a_wipe_clears_the_slot_and_no_more(void **state)
{
    (void)state;
    for_every_class(check_wipe);
}

/* ---- the canary ---- */

static void check_written(const struct use *use)
{
    static _Alignas(16) char expected[SHAPED_SLOT_MAX];
    size_t slot_size = (size_t)(use->end - use->start);
    memset(shaped_room, CALLERS, sizeof(shaped_room));
    memset(use->start, 0, slot_size);
    memset(expected, 0, slot_size);
    use->shaped->write(use->start, use->end, use->size, shaped_word);
    canary_write(expected, use->size, slot_size, shaped_word);
    expect(use, memcmp(use->start, expected, slot_size) == 0, 0);
    expect_margins(use, CALLERS);
}

static void a_canary_has_the_bytes_of_every_other(void **state)
{
    (void)state;
    for_every_size(check_written);
}

static void check_held(const struct use *use)
{
    const struct shaped *shaped = use->shaped;
    char *slack = use->start + use->size;
    memset(use->start, 0, (size_t)(use->end - use->start));
    shaped->write(use->start, use->end, use->size, shaped_word);
    expect(use, shaped->holds(use->start, use->end, use->size, shaped_word), use->size);
    memset(use->start, CALLERS, use->size);
    memset(use->end, CALLERS, MARGIN);
    memset(use->start - MARGIN, CALLERS, MARGIN);
    expect(use, shaped->holds(use->start, use->end, use->size, shaped_word), 0);
    for (char *at = slack; at < use->end; at++) {
        const char was = *at;
        const char wrong[] = {0, (char)(was ^ 1), (char)(was ^ 0x80)};
        for (size_t i = 0; i < sizeof(wrong); i++) {
            *at = wrong[i];
            expect(use, !shaped->holds(use->start, use->end, use->size, shaped_word),
                   (size_t)(at - use->start));
        }
        *at = was;
    }
    /* As another buffer has it. */
    expect(use, !shaped->holds(use->start, use->end, use->size, shaped_word ^ 0x0200), 0);
}

static void one_changed_byte_of_the_slack_is_seen_and_no_other(void **state)
{
    (void)state;
    for_every_size(check_held);
}

static int shaped_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_16_to_264_bytes_in_eights),
        cmocka_unit_test(a_shapes_classes_are_those_of_its_sizes),
        cmocka_unit_test(one_byte_that_is_not_zero_is_seen),
        cmocka_unit_test(a_wipe_clears_the_slot_and_no_more),
        cmocka_unit_test(a_canary_has_the_bytes_of_every_other),
        cmocka_unit_test(one_changed_byte_of_the_slack_is_seen_and_no_other),
    };
    return cmocka_run_group_tests(tests, shaped_setup, NULL);
}

#endif
