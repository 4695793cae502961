/* SPDX-License-Identifier: ISC */
#include "policy/lock_budget.h"

static const uint64_t NO_LIMIT = UINT64_MAX;

enum {
    FIRST_REGION = 1024 * 1024,
    STEP_WITHOUT_LIMIT = 256 * 1024,
    STEPS_OF_OPEN = 32,
    STEPS_OF_LIMIT = 64,
    MAGAZINES_OF_LIMIT = 16,
};

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t round_down(uint64_t size, size_t page_size)
{
    return size - size % page_size;
}

/* Whole pages for both: as many as fit in `wanted`, but enough for `needed`, and at least one. The
 * caller's sizes are far below SIZE_MAX: a run has a page limit. */
static size_t in_pages(uint64_t wanted, size_t needed, size_t page_size)
{
    uint64_t least = round_down((uint64_t)needed + page_size - 1, page_size);
    uint64_t most = round_down(SIZE_MAX, page_size);
    return (size_t)smaller(larger(larger(round_down(wanted, page_size), least), page_size), most);
}

uint64_t lock_budget_limit(uint64_t option, uint64_t kernel)
{
    return option == 0 ? kernel : smaller(option, kernel);
}

bool lock_budget_allows(uint64_t option, uint64_t locked, uint64_t more)
{
    return option == 0 || (locked <= option && more <= option - locked);
}

size_t lock_budget_region(uint64_t limit, uint64_t reserved, size_t previous, size_t needed,
                          size_t page_size)
{
    uint64_t first = smaller(FIRST_REGION, limit);
    uint64_t doubled = previous <= SIZE_MAX / 2 ? (uint64_t)previous * 2 : previous;
    uint64_t left = limit == NO_LIMIT ? NO_LIMIT : limit - smaller(limit, reserved);
    uint64_t wanted = smaller(larger(doubled, first), larger(left, first));
    return in_pages(wanted, needed, page_size);
}

size_t lock_budget_step(uint64_t limit, uint64_t open, size_t needed, size_t page_size)
{
    uint64_t of_limit = limit == NO_LIMIT ? STEP_WITHOUT_LIMIT : limit / STEPS_OF_LIMIT;
    return in_pages(larger(open / STEPS_OF_OPEN, of_limit), needed, page_size);
}

uint64_t lock_budget_magazines(uint64_t limit)
{
    return limit == NO_LIMIT ? NO_LIMIT : limit / MAGAZINES_OF_LIMIT;
}
