/* SPDX-License-Identifier: ISC */
#include "pages/bookkeeping.h"

#include "base/check.h"
#include "os/os.h"

enum { RESERVATION = 512 * 1024 }; /* two registry leaves and a dozen threads */

void bookkeeping_init(struct bookkeeping *bookkeeping, size_t page_size)
{
    mutex_init(&bookkeeping->mutex);
    bookkeeping->page_size = page_size;
}

static size_t round_up(size_t size, size_t multiple)
{
    return (size + multiple - 1) / multiple * multiple;
}

/* What is left of the reservation before is lost: at most one object's size. */
static bool reserve_more(struct bookkeeping *b, size_t size)
{
    size_t guard = b->page_size;
    size_t usable =
        round_up(size + CACHE_LINE > RESERVATION ? size + CACHE_LINE : RESERVATION, b->page_size);
    void *start = NULL;
    if (os_pages_reserve(usable + 2 * guard, b->page_size, &start) != 0) {
        usable = round_up(size + CACHE_LINE, b->page_size);
        if (os_pages_reserve(usable + 2 * guard, b->page_size, &start) != 0) {
            return false;
        }
    }
    /* Best effort: a kernel that dumps it dumps no secret. */
    (void)os_pages_advise(start, usable + 2 * guard, OS_FORK_KEEP);
    char *from = (char *)start + guard;
    if (os_pages_open_bookkeeping(from, b->page_size) != 0) {
        os_pages_unreserve(start, usable + 2 * guard);
        return false;
    }
    struct bookkeeping_reservation *reservation = (void *)from;
    reservation->next = b->reservations;
    reservation->size = usable + 2 * guard;
    b->reservations = reservation;
    b->next = from + CACHE_LINE;
    b->opened = from + b->page_size;
    b->end = from + usable;
    counter_add(&b->reserved, reservation->size);
    return true;
}

static void *take(struct bookkeeping *b, size_t size)
{
    if ((size_t)(b->end - b->next) < size && !reserve_more(b, size)) {
        return NULL;
    }
    char *end = b->next + size;
    if (end > b->opened) {
        size_t more = round_up((size_t)(end - b->opened), b->page_size);
        if (os_pages_open_bookkeeping(b->opened, more) != 0) {
            return NULL;
        }
        b->opened += more;
    }
    void *taken = b->next;
    b->next = end;
    return taken;
}

void *bookkeeping_take(struct bookkeeping *b, size_t size)
{
    INVARIANT(size > 0);
    mutex_lock(&b->mutex);
    void *taken = take(b, round_up(size, CACHE_LINE));
    mutex_unlock(&b->mutex);
    return taken;
}

void bookkeeping_unlock(struct bookkeeping *b)
{
    mutex_lock(&b->mutex);
    for (struct bookkeeping_reservation *r = b->reservations; r != NULL; r = r->next) {
        (void)os_pages_unlock((char *)r - b->page_size, r->size);
    }
    mutex_unlock(&b->mutex);
}

bool bookkeeping_overlap(struct bookkeeping *b, uintptr_t start, uintptr_t end)
{
    bool found = false;
    mutex_lock(&b->mutex);
    for (struct bookkeeping_reservation *r = b->reservations; r != NULL; r = r->next) {
        uintptr_t from = (uintptr_t)r - b->page_size;
        found = found || (start < from + r->size && end > from);
    }
    mutex_unlock(&b->mutex);
    return found;
}
