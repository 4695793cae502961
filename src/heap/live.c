/* SPDX-License-Identifier: ISC */
/* Where live bytes are: for secure_audit, which compares with what the kernel says. */
#include "heap/large.h"
#include "heap/slab.h"

struct window {
    uintptr_t start, end;
    uint64_t bytes;
};

static void add(struct window *window, const void *buffer, size_t size)
{
    uintptr_t start = (uintptr_t)buffer;
    uintptr_t end = start + size;
    uintptr_t from = start > window->start ? start : window->start;
    uintptr_t to = end < window->end ? end : window->end;
    window->bytes += to > from ? to - from : 0;
}

/* Each returns the first page behind the run. */
static size_t add_slab(struct heap *heap, const struct region *region, size_t first_page,
                       uint32_t class, struct window *window)
{
    const struct size_class *c = &heap->classes.at[class];
    for (uint32_t i = 0; i < c->slots; i++) {
        struct slot slot = slab_slot(heap, region, first_page, class, i);
        uint16_t record = atomic_load_explicit(slot.record, memory_order_acquire);
        if (record != 0) {
            add(window, slot.start, slot_record_size(record));
        }
    }
    return first_page + c->pages;
}

static size_t add_large(struct heap *heap, const struct region *region, size_t page,
                        size_t first_page, struct window *window)
{
    struct large *large = large_at(heap, region, first_page);
    uint64_t record = atomic_load_explicit(&large->record, memory_order_acquire);
    size_t end = first_page + large->count;
    if (record != 0 && page < end) {
        size_t size = large_record_size(record);
        add(window, large_start(heap, large_run(heap, region, first_page), large, size), size);
    }
    return end;
}

static void add_region(struct heap *heap, const struct region *region, struct window *window)
{
    size_t high = atomic_load_explicit(&region->high, memory_order_acquire);
    uintptr_t from = window->start > region->base ? window->start - region->base : 0;
    uintptr_t to = window->end - region->base;
    for (size_t page = from >> heap->page_shift; page < high && page << heap->page_shift < to;) {
        uint32_t entry = atomic_load_explicit(&region->entries[page], memory_order_acquire);
        size_t next = page;
        if ((entry & ENTRY_SLAB) != 0) {
            next = add_slab(heap, region, page - entry_index(entry), entry_class(entry), window);
        } else if (entry != 0) {
            next = add_large(heap, region, page, entry - 1, window);
        }
        page = next > page ? next : page + 1;
    }
}

uint64_t heap_live_bytes_in(struct heap *heap, uintptr_t start, uintptr_t end)
{
    struct window window = {start, end, 0};
    struct region *region = atomic_load_explicit(&heap->pages.regions, memory_order_acquire);
    for (; region != NULL; region = atomic_load_explicit(&region->next, memory_order_relaxed)) {
        if (end > region->base && start < region->base + (region->count << heap->page_shift)) {
            add_region(heap, region, &window);
        }
    }
    return window.bytes;
}

uint64_t heap_overlap(const struct heap *heap, uintptr_t start, uintptr_t end)
{
    struct window window = {start, end, 0};
    struct region *region = atomic_load_explicit(&heap->pages.regions, memory_order_acquire);
    for (; region != NULL; region = atomic_load_explicit(&region->next, memory_order_relaxed)) {
        add(&window, (const void *)region->base, region->count << heap->page_shift);
    }
    return window.bytes;
}
