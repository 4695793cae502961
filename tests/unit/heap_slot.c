/* SPDX-License-Identifier: ISC */
#include "heap/slot.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "unit/expect.h"
#include "unit/fresh_heap.h"
#include "unit/heap_model.h"
#include "unit/os_view.h"

/* ---- where a pointer leads ---- */

static enum place_kind kind_of(const void *pointer)
{
    return heap_place(heap, pointer).kind;
}

static void every_byte_of_a_slab_leads_to_its_slot(void **state)
{
    (void)state;
    for (size_t size = 1; size <= heap->classes.size_max; size = size * 3 + 7) {
        char *start = keeper_get(heap, size);
        struct place first = heap_place(heap, start);
        const struct size_class *c = &heap->classes.at[first.class];
        assert_int_equal(first.kind, PLACE_SLOT);
        assert_ptr_equal(first.slot.start, start);
        for (size_t i = 0; i < c->slot_size; i++) {
            struct place place = heap_place(heap, start + i);
            assert_ptr_equal(place.slot.start, start);
            assert_ptr_equal(place.slot.record, first.slot.record);
        }
        char *slab = region_page(first.region, first.first_page, heap->page_shift);
        char *waste = slab + (size_t)c->slots * c->slot_size;
        char *slab_end = slab + c->pages * heap->page_size;
        for (char *at = waste; at < slab_end; at++) {
            assert_int_equal(kind_of(at), PLACE_NOWHERE);
        }
    }
}

static void other_addresses_lead_nowhere(void **state)
{
    (void)state;
    int local = 0;
    char *small = keeper_get(heap, 10);
    char *large = keeper_get(heap, 100000);
    struct region *region = heap_place(heap, small).region;
    size_t high = atomic_load(&region->high);
    assert_int_equal(kind_of(&local), PLACE_NOWHERE);
    assert_int_equal(kind_of(NULL), PLACE_NOWHERE);
    assert_int_equal(kind_of((void *)UINTPTR_MAX), PLACE_NOWHERE);
    assert_int_equal(kind_of(region), PLACE_NOWHERE);
    assert_int_equal(kind_of(region_page(region, high + 1, heap->page_shift)), PLACE_NOWHERE);
    assert_int_equal(kind_of(large), PLACE_LARGE);
    assert_int_equal(kind_of(large + 99999), PLACE_LARGE);
    assert_int_equal(kind_of(large - 1), PLACE_NOWHERE);
    size_t pages = (100000 + heap->page_size - 1) / heap->page_size;
    assert_int_equal(kind_of(large + pages * heap->page_size), PLACE_NOWHERE);
    if (heap->pages.guards) {
        char *guard = region_page(region, CHUNK_PAGES - 1, heap->page_shift);
        assert_int_equal(kind_of(guard), PLACE_NOWHERE);
    }
}

static void a_slab_that_was_given_back_is_a_free_run(void **state)
{
    (void)state;
    char *start = keeper_get(heap, 1000);
    heap_free(heap, start, 1000);
    assert_int_equal(kind_of(start), PLACE_SLOT); /* in the magazine */
    (void)heap_purge(heap);
    assert_int_equal(kind_of(start), PLACE_FREE_RUN);
    (void)heap_trim(heap);
    assert_int_equal(kind_of(start), PLACE_FREE_RUN);
}

/* ---- the life of a slot ---- */

static void a_live_slot_is_zero_then_canary(void **state)
{
    (void)state;
    for (size_t size = 0; size <= heap->classes.size_max; size += size < 1024 ? 1 : size / 7) {
        unsigned char *start = keeper_get(heap, size);
        const struct size_class *c = &heap->classes.at[size_class_of(size)];
        assert_true(view_is_all(start, size, 0));
        assert_true(canary_holds(start, size, c->slot_size, canary_of(heap, start)));
        assert_int_equal(atomic_load(heap_place(heap, start).slot.record), size + 1);
        memset(start, 0xee, size);
        heap_free(heap, start, size);
        assert_int_equal(atomic_load(heap_place(heap, start).slot.record), 0);
        assert_true(view_is_all(start, c->slot_size, 0));
    }
    layer_check_heap(heap);
}

/* Also of sizes that have no class here, with slots of every class in the magazines. */
static void no_slot_is_too_small_for_what_is_asked(void **state)
{
    (void)state;
    int error = 0;
    for (size_t alignment = 16; alignment <= 4096; alignment *= 2) {
        for (size_t size = 1; size <= 4096; size = size * 2 + 1) {
            char *start = heap_allocate_aligned(heap, alignment, size, &error);
            assert_non_null(start);
            heap_free(heap, start, size);
        }
    }
    for (size_t size = 1; size < 70000; size += 1 + size / 50) {
        char *start = keeper_get(heap, size);
        struct place place = heap_place(heap, start);
        assert_true(place.kind == PLACE_LARGE ||
                    heap->classes.at[place.class].slot_size >= size + CANARY_MIN);
        assert_int_equal(heap_size_of(heap, start), size);
        heap_free(heap, start, size);
    }
    layer_check_heap(heap);
}

static void free_twice(void *context)
{
    heap_free(heap, context, HEAP_ANY_SIZE);
    heap_free(heap, context, HEAP_ANY_SIZE);
}

static void free_and_purge_twice(void *context)
{
    heap_free(heap, context, HEAP_ANY_SIZE);
    (void)heap_purge(heap);
    heap_free(heap, context, HEAP_ANY_SIZE);
}

static void free_once(void *context)
{
    heap_free(heap, context, HEAP_ANY_SIZE);
}

static void free_with_size_9(void *context)
{
    heap_free(heap, context, 9);
}

static void ask_size(void *context)
{
    (void)heap_size_of(heap, context);
}

static void overflow(void *context)
{
    char *start = context;
    start[heap_size_of(heap, start)] = 0;
    heap_free(heap, start, HEAP_ANY_SIZE);
}

static void write_after_free(void *context)
{
    char *start = context;
    size_t size = heap_size_of(heap, start);
    heap_free(heap, start, HEAP_ANY_SIZE);
    start[size] = 1;
    (void)keeper_get(heap, size);
}

static void write_at_start_after_free(void *context)
{
    char *start = context;
    size_t size = heap_size_of(heap, start);
    heap_free(heap, start, HEAP_ANY_SIZE);
    start[0] = 1;
    (void)keeper_get(heap, size);
}

#define FATAL "secure_malloc: fatal: "

static void every_misuse_says_what_it_is(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 24, 500, 3000, 20000, 100000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *start = keeper_get(heap, sizes[i]);
        assert_death_with(free_twice, start, SIGABRT, FATAL "double free");
        assert_death_with(free_and_purge_twice, start, SIGABRT, FATAL "double free");
        assert_death_with(free_with_size_9, start, SIGABRT, FATAL "wrong size");
        assert_death_with(free_once, start + 1, SIGABRT, FATAL "interior pointer");
        assert_death_with(ask_size, start + 8, SIGABRT, FATAL "interior pointer");
        assert_death_with(overflow, start, SIGABRT, FATAL "buffer overflow");
    }
    int local = 0;
    assert_death_with(free_once, &local, SIGABRT, FATAL "invalid pointer");
    assert_death_with(ask_size, &local, SIGABRT, FATAL "invalid pointer");
    char *small = keeper_get(heap, 40);
    assert_death_with(write_after_free, small, SIGABRT, FATAL "write after free");
    char *freed = keeper_get(heap, 40);
    heap_free(heap, freed, 40);
    assert_death_with(ask_size, freed, SIGABRT, FATAL "invalid pointer");
    assert_death_with(free_once, freed + 16, SIGABRT, FATAL "invalid pointer");
}

static void a_misused_aligned_slot_says_what_it_is(void **state)
{
    (void)state;
    for (size_t alignment = 32; alignment <= ALIGNED_MAX / 2; alignment *= 2) {
        int error = 0;
        char *start = heap_allocate_aligned(heap, alignment, 20, &error);
        assert_non_null(start);
        assert_true(heap_place(heap, start).class >= ALIGNED_FIRST);
        assert_death_with(free_twice, start, SIGABRT, FATAL "double free");
        assert_death_with(free_and_purge_twice, start, SIGABRT, FATAL "double free");
        assert_death_with(free_with_size_9, start, SIGABRT, FATAL "wrong size");
        assert_death_with(free_once, start + 16, SIGABRT, FATAL "interior pointer");
        assert_death_with(overflow, start, SIGABRT, FATAL "buffer overflow");
        heap_free(heap, start, 20);
    }
    layer_check_heap(heap);
    assert_int_equal(layer_numbers(heap).live_bytes, 0);
}

/* ---- checks that are turned off ---- */

static void damage_goes_unseen_where_nobody_asked(void **state)
{
    (void)state;
    config.canary = false;
    config.check_free = false;
    start_over();
    for (size_t size = 0; size <= heap->classes.size_max; size += size < 1024 ? 1 : size / 7) {
        size_t slot_size = heap->classes.at[size_class_of(size)].slot_size;
        char *start = keeper_get(heap, size);
        start[size] = 0;
        start[slot_size - 1] = 0;
        heap_free(heap, start, size);
        assert_true(view_is_all(start, slot_size, 0)); /* wiped all the same */
        start[0] = 1;
        start[slot_size - 1] = 1;
        assert_ptr_equal(keeper_get(heap, size), start);
        heap_free(heap, start, size);
        assert_true(view_is_all(start, slot_size, 0));
    }
    layer_check_heap(heap);
    assert_int_equal(layer_numbers(heap).live_bytes, 0);
}

static void one_check_is_not_the_other(void **state)
{
    (void)state;
    for (int canary = 0; canary < 2; canary++) {
        config.canary = canary != 0;
        config.check_free = canary == 0;
        start_over();
        const size_t sizes[] = {5, 40, 41, 100, 200, 500, 1000, 3000};
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            char *start = keeper_get(heap, sizes[i]);
            if (config.canary) {
                assert_death_with(overflow, start, SIGABRT, FATAL "buffer overflow");
                assert_survives_with(write_at_start_after_free, start);
            } else {
                assert_survives_with(overflow, start);
                assert_death_with(write_at_start_after_free, start, SIGABRT,
                                  FATAL "write after free");
            }
        }
    }
}

/* ---- claims ---- */

struct claim {
    slot_record *record;
    _Atomic bool let_go;
    _Atomic bool done;
    void *pointer;
};

static void *let_go_later(void *context)
{
    struct claim *claim = context;
    usleep(20000);
    atomic_store(&claim->let_go, true);
    atomic_fetch_and(claim->record, (uint16_t)~SLOT_CLAIMED);
    return NULL;
}

static void claim_for_a_while(struct claim *claim, void *pointer, pthread_t *thread)
{
    *claim = (struct claim){.record = heap_place(heap, pointer).slot.record, .pointer = pointer};
    atomic_fetch_or(claim->record, SLOT_CLAIMED);
    assert_int_equal(pthread_create(thread, NULL, let_go_later, claim), 0);
}

static void free_and_its_like_wait_for_a_claim_to_end(void **state)
{
    (void)state;
    pthread_t thread;
    struct claim claim;
    for (int what = 0; what < 4; what++) {
        int error = 0;
        char *start = keeper_get(heap, 40);
        claim_for_a_while(&claim, start, &thread);
        switch (what) {
        case 0:
            heap_free(heap, start, HEAP_ANY_SIZE);
            break;
        case 1:
            heap_free(heap, start, 40);
            break;
        case 2:
            assert_ptr_equal(heap_reallocate(heap, start, 39, &error), start);
            break;
        default:
            assert_int_equal(heap_size_of(heap, start), 40);
            break;
        }
        assert_true(atomic_load(&claim.let_go));
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(atomic_load(claim.record), what < 2 ? 0 : what == 2 ? 40 : 41);
    }
    layer_check_heap(heap);
}

static void free_claimed_with_wrong_size(void *context)
{
    struct claim claim;
    pthread_t thread;
    claim_for_a_while(&claim, context, &thread);
    heap_free(heap, context, 9);
}

static void a_claim_does_not_hide_a_wrong_size(void **state)
{
    (void)state;
    assert_death_with(free_claimed_with_wrong_size, keeper_get(heap, 40), SIGABRT,
                      FATAL "wrong size");
}

/* ---- recutting ---- */

/* Pages that are recut, as far as free sees: it does not care for which of a slab's they are. */
static void *recut_again_and_again(void *context)
{
    page_entry *entry = context;
    uint32_t one = atomic_load(entry);
    for (;;) {
        atomic_store_explicit(entry, one + 1, memory_order_relaxed);
        atomic_store_explicit(entry, one, memory_order_relaxed);
    }
    return NULL;
}

/* Sooner or later between the two looks at the entry, where threads can stop anywhere: an
 * emulator's that stop between blocks alone would go on for good. */
static void free_what_is_being_recut(void *context)
{
    struct place place = heap_place(heap, context);
    pthread_t thread;
    if (pthread_create(&thread, NULL, recut_again_and_again,
                       &place.region->entries[place.first_page]) != 0) {
        return;
    }
    for (;;) {
        int error = 0;
        heap_free(heap, context, HEAP_ANY_SIZE);
        context = heap_allocate(heap, 40, &error);
    }
}

static void a_pointer_whose_slab_is_recut_during_its_free_is_stale(void **state)
{
    (void)state;
    assert_death_with(free_what_is_being_recut, keeper_get(heap, 40), SIGABRT, FATAL "double free");
}

/* ---- the spent budget ---- */

static void a_spent_budget_flushes_the_threads_own_magazines(void **state)
{
    (void)state;
    config.pages.lock_limit = 64 * config.pages.page_size;
    start_over();
    static char *kept[4096];
    size_t count = 0;
    int error = 0;
    while (count < 4096 && (kept[count] = heap_allocate(heap, 1000, &error)) != NULL) {
        count++;
    }
    assert_int_equal(error, -ENOMEM);
    assert_true(count < 4096);
    for (size_t i = 0; i < count; i++) {
        heap_free(heap, kept[i], 1000);
    }
    assert_true(layer_numbers(heap).cached_slots > 0);
    /* All of it, but for what magazines would pin. */
    size_t most = (config.pages.lock_limit / heap->page_size - 4) * heap->page_size;
    assert_non_null(heap_allocate(heap, most, &error));
    layer_check_heap(heap);
}

/* Of every size: what is freed overflows into the stock, and comes out of it again. */
static void the_fast_path_goes_on_with_what_the_stock_has(void **state)
{
    enum { COUNT = 2 * MAGAZINE_SLOTS_MAX };
    char *starts[COUNT];
    (void)state;
    for (size_t size = 1; size <= heap->classes.size_max; size = size * 2 + 3) {
        struct magazine *mine = &cache_own(heap)->magazines[size_class_of(size)];
        struct magazine *stock = &heap->stocks[0]->magazines[size_class_of(size)];
        for (size_t i = 0; i < COUNT; i++) {
            starts[i] = keeper_get(heap, size);
        }
        for (size_t i = 0; i < COUNT; i++) {
            heap_free(heap, starts[i], size);
        }
        assert_true(magazine_count(stock) > 0);
        assert_false(slot_refilled(heap, size)); /* the magazine holds some yet */
        size_t taken = 0;
        do {
            while (magazine_count(mine) > 0) {
                assert_non_null(slot_allocate(heap, size, keeper_no_more));
                taken++;
            }
        } while (slot_refilled(heap, size));
        assert_null(slot_allocate(heap, size, keeper_no_more));
        assert_int_equal(magazine_count(stock), 0);
        assert_true(taken > magazine_capacity(mine));
        layer_check_heap(heap);
    }
    assert_false(slot_refilled(heap, heap->classes.size_max + 1));
    assert_false(slot_refilled(heap, SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_byte_of_a_slab_leads_to_its_slot, fresh, end),
        cmocka_unit_test_setup_teardown(other_addresses_lead_nowhere, fresh, end),
        cmocka_unit_test_setup_teardown(a_slab_that_was_given_back_is_a_free_run, fresh, end),
        cmocka_unit_test_setup_teardown(a_live_slot_is_zero_then_canary, fresh, end),
        cmocka_unit_test_setup_teardown(no_slot_is_too_small_for_what_is_asked, fresh, end),
        cmocka_unit_test_setup_teardown(every_misuse_says_what_it_is, fresh, end),
        cmocka_unit_test_setup_teardown(a_misused_aligned_slot_says_what_it_is, fresh, end),
        cmocka_unit_test_setup_teardown(damage_goes_unseen_where_nobody_asked, fresh, end),
        cmocka_unit_test_setup_teardown(one_check_is_not_the_other, fresh, end),
        cmocka_unit_test_setup_teardown(free_and_its_like_wait_for_a_claim_to_end, fresh, end),
        cmocka_unit_test_setup_teardown(a_claim_does_not_hide_a_wrong_size, fresh, end),
        cmocka_unit_test_setup_teardown(a_pointer_whose_slab_is_recut_during_its_free_is_stale,
                                        fresh, end),
        cmocka_unit_test_setup_teardown(the_fast_path_goes_on_with_what_the_stock_has, fresh, end),
        cmocka_unit_test_setup_teardown(a_spent_budget_flushes_the_threads_own_magazines, fresh,
                                        end),
    };
    return layer_run(tests);
}
