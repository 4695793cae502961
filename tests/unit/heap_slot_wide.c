/* SPDX-License-Identifier: ISC */
/* Both ways to treat slots of all sizes but short keys': this processor's, and every processor's.
 */
#include "heap/slot_wide.h"

#include <signal.h>

#include "unit/expect.h"
#include "unit/heap_model.h"
#include "unit/os_view.h"

enum { MARGIN = 64 };

static struct heap *heap;
static const struct slot_wide *ways[2];

static int fresh(void **state)
{
    struct heap_config config = layer_heap_config();
    (void)state;
    heap = layer_heap(&config);
    ways[0] = &slot_wide_any;
    ways[1] = slot_wide_best();
    return 0;
}

static int end(void **state)
{
    (void)state;
    layer_end_heap(heap);
    return 0;
}

static void a_heap_has_the_best(void **state)
{
    (void)state;
    assert_ptr_equal(heap->wide, slot_wide_best());
#ifdef __x86_64__
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2")) {
        assert_ptr_equal(slot_wide_best(), &slot_wide_any);
    }
#else
    assert_ptr_equal(slot_wide_best(), &slot_wide_any);
#endif
}

/* ---- slots ---- */

static void check_new(unsigned char *start, size_t size)
{
    const struct size_class *c = &heap->classes.at[size_class_of(size)];
    if (!view_is_all(start, size, 0) ||
        !canary_holds(start, size, c->slot_size, canary_of(heap, start))) {
        print_error("size %zu\n", size);
        fail();
    }
    assert_int_equal(atomic_load(heap_place(heap, start).slot.record), slot_record_of(size));
}

/* From the magazine, by the fast path alone. */
static unsigned char *take_fast(size_t size)
{
    unsigned char *start = slot_allocate(heap, size, keeper_no_more);
    if (start == NULL) {
        heap_free(heap, keeper_get(heap, size), size);
        start = slot_allocate(heap, size, keeper_no_more);
    }
    assert_non_null(start);
    return start;
}

static void every_size_is_zero_then_canary_and_wiped_again(void **state)
{
    (void)state;
    for (size_t way = 0; way < 2; way++) {
        heap->wide = ways[way];
        for (size_t size = 0; size <= heap->classes.size_max; size += 1 + size / 200) {
            unsigned char *start = take_fast(size);
            const struct size_class *c = &heap->classes.at[size_class_of(size)];
            check_new(start, size);
            memset(start, 0xee, size);
            heap_free(heap, start, size);
            assert_int_equal(atomic_load(heap_place(heap, start).slot.record), 0);
            assert_true(view_is_all(start, c->slot_size, 0));
            assert_ptr_equal(take_fast(size), start); /* the last one first */
            heap_free(heap, start, HEAP_ANY_SIZE);
        }
        layer_check_heap(heap);
        assert_int_equal(layer_numbers(heap).live_bytes, 0);
    }
}

static void more_than_a_magazine_adds_up(void **state)
{
    (void)state;
    static struct keeper kept;
    for (size_t way = 0; way < 2; way++) {
        heap->wide = ways[way];
        kept = (struct keeper){.heap = heap};
        model_begin(300 + way);
        for (model.step = 1; model.step <= 3000; model.step++) {
            uint32_t most = (uint32_t)heap->classes.size_max + 1;
            if (model_below(2) == 0 && kept.count < BUFFERS_MAX / 2) {
                assert_int_equal(keeper_allocate(&kept, model_below(most)), 0);
            } else if (kept.count > 0) {
                keeper_free(&kept, model_below((uint32_t)kept.count));
            }
        }
        keeper_check_numbers(&kept);
        keeper_free_all(&kept);
        keeper_check_numbers(&kept);
        model_end();
    }
}

/* ---- what is wrong ---- */

#define FATAL "secure_malloc: fatal: "

struct damage {
    const struct slot_wide *way;
    size_t size;
    size_t at;
};

static void free_overflown(void *context)
{
    const struct damage *damage = context;
    heap->wide = damage->way;
    char *start = (char *)take_fast(damage->size);
    start[damage->at] = 0;
    heap_free(heap, start, damage->size);
}

static void use_written_after_free(void *context)
{
    const struct damage *damage = context;
    heap->wide = damage->way;
    char *start = (char *)take_fast(damage->size);
    heap_free(heap, start, damage->size);
    start[damage->at] = 1;
    (void)slot_allocate(heap, damage->size, keeper_no_more);
}

static void damage_is_seen(void **state)
{
    (void)state;
    static const size_t sizes[] = {3, 41, 100, 130, 255, 256, 263, 500, 700, 1024, 1025, 3000};
    for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t size = sizes[i / 2];
        size_t slot_size = heap->classes.at[size_class_of(size)].slot_size;
        struct damage damage = {ways[i % 2], size, size};
        assert_death_with(free_overflown, &damage, SIGABRT, FATAL "buffer overflow");
        damage.at = slot_size - 1;
        assert_death_with(free_overflown, &damage, SIGABRT, FATAL "buffer overflow");
        damage.at = (slot_size < CHECK_FREE_MAX ? slot_size : CHECK_FREE_MAX) - 1;
        assert_death_with(use_written_after_free, &damage, SIGABRT, FATAL "write after free");
    }
}

/* ---- which shape ---- */

/* The slow ends that the fast path takes to when a check has failed. */
static size_t dirty, damaged;

void *__real_slot_issue_dirty(struct heap *of, char *start, slot_record *record, size_t size);
void *__wrap_slot_issue_dirty(struct heap *of, char *start, slot_record *record, size_t size);
void *__wrap_slot_issue_dirty(struct heap *of, char *start, slot_record *record, size_t size)
{
    dirty++;
    return __real_slot_issue_dirty(of, start, record, size);
}

void __real_slot_free_damaged(struct heap *of, char *start, size_t size);
void __wrap_slot_free_damaged(struct heap *of, char *start, size_t size);
void __wrap_slot_free_damaged(struct heap *of, char *start, size_t size)
{
    damaged++;
    __real_slot_free_damaged(of, start, size);
}

/* With both checks off, so that what they find is not the end: that they look is what is tested. */
static void check_every_byte(size_t size)
{
    size_t slot_size = heap->classes.at[size_class_of(size)].slot_size;
    unsigned char *start = take_fast(size);
    heap_free(heap, start, size);
    for (size_t at = 0; at < slot_size; at++) {
        dirty = damaged = 0;
        start[at] = 1;
        assert_ptr_equal(take_fast(size), start);
        if (dirty != 1) {
            print_error("size %zu: byte %zu is not zero, and is not seen\n", size, at);
            fail();
        }
        memset(start, 0, slot_size); /* what the slow end has not cleared, as it need not */
        canary_write(start, size, slot_size, canary_of(heap, start));
        start[at] ^= 1;
        heap_free(heap, start, size);
        if (damaged != (at >= size)) {
            print_error("size %zu: byte %zu has changed: seen %zu times\n", size, at, damaged);
            fail();
        }
    }
}

static void every_byte_is_looked_at_whichever_way_a_size_goes(void **state)
{
    (void)state;
    heap->check_free = heap->canary = false;
    for (size_t way = 0; way < 2; way++) {
        heap->wide = ways[way];
        for (size_t size = 0; size <= SHAPE_1040.size_max; size++) {
            /* The end of each class, and of keys. */
            if (size <= KEY_MAX + 1 || size_class_of(size - 1) != size_class_of(size + 1)) {
                check_every_byte(size);
            }
        }
    }
}

/* ---- long memory ---- */

static void a_wipe_clears_its_bytes_and_no_more(void **state)
{
    (void)state;
    static _Alignas(64) unsigned char room[MARGIN + 5000 + MARGIN];
    for (size_t i = 0; i < 2 * 2 * 300; i++) {
        size_t size = i / 4 * SLOT_ALIGNMENT;
        unsigned char *start = room + MARGIN + i / 2 % 2 * SLOT_ALIGNMENT;
        memset(room, 0xff, sizeof(room));
        ways[i % 2]->wipe(start, size);
        assert_true(view_is_all(start, size, 0));
        assert_true(view_is_all(room, (size_t)(start - room), 0xff));
        assert_true(view_is_all(start + size, (size_t)(room + sizeof(room) - start) - size, 0xff));
    }
}

static void the_beginning_is_zero_if_each_of_its_bytes_is(void **state)
{
    (void)state;
    static _Alignas(64) unsigned char room[MARGIN + SLOT_ALIGNMENT + CHECK_FREE_MAX + MARGIN];
    for (size_t i = 0; i < 4; i++) {
        const struct slot_wide *way = ways[i % 2];
        unsigned char *start = room + MARGIN + i / 2 * SLOT_ALIGNMENT;
        memset(room, 0xff, sizeof(room));
        memset(start, 0, CHECK_FREE_MAX);
        assert_true(way->begins_zero(start)); /* what lies around it is not looked at */
        for (size_t at = 0; at < CHECK_FREE_MAX; at++) {
            start[at] = (unsigned char)(1 << at % 8);
            assert_false(way->begins_zero(start));
            start[at] = 0;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_heap_has_the_best, fresh, end),
        cmocka_unit_test_setup_teardown(every_size_is_zero_then_canary_and_wiped_again, fresh, end),
        cmocka_unit_test_setup_teardown(more_than_a_magazine_adds_up, fresh, end),
        cmocka_unit_test_setup_teardown(damage_is_seen, fresh, end),
        cmocka_unit_test_setup_teardown(every_byte_is_looked_at_whichever_way_a_size_goes, fresh,
                                        end),
        cmocka_unit_test_setup_teardown(a_wipe_clears_its_bytes_and_no_more, fresh, end),
        cmocka_unit_test_setup_teardown(the_beginning_is_zero_if_each_of_its_bytes_is, fresh, end),
    };
    return layer_run(tests);
}
