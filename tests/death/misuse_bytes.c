/* SPDX-License-Identifier: ISC */
/*
 * Bytes written where none should be, and sizes that are not so. Whoever writes within a page that
 * can be written is found later, by the canary or by what should be zero; beyond it, at once.
 */
#include <secure_malloc.h>
#include <stdint.h>

#include "api/child.h"
#include "api/look.h"
#include "death/misuse.h"

enum { NEIGHBOURS = 64 };

/* Writes what was not there: one canary in 128 holds a given odd byte. */
static void poke(void *at, int byte)
{
    volatile unsigned char *place = unknown(at);
    *place = *place != byte ? (unsigned char)byte : (unsigned char)~byte;
}

/* ---- overflow ---- */

static void overflow(const struct misuse *misuse, size_t distance, int byte)
{
    char *pointer = misuse_buffer(misuse);
    misuse_expect(pointer, misuse->size);
    poke(pointer + misuse->size + distance, byte);
    secure_free(pointer);
}

static void overflow_by_one(const struct misuse *misuse)
{
    overflow(misuse, 0, 0xff);
}

/* What a string's end writes. */
static void overflow_by_a_nul(const struct misuse *misuse)
{
    overflow(misuse, 0, 0);
}

static void overflow_beyond_a_byte(const struct misuse *misuse)
{
    overflow(misuse, 7, 0x55);
}

static void overflow_seen_by_realloc(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    misuse_expect(pointer, misuse->size);
    poke(pointer + misuse->size, 0);
    (void)secure_realloc(pointer, misuse->size + 1);
}

/* The new size is another class's, so the buffer moves. */
static void overflow_seen_by_realloc_that_moves(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    misuse_expect(pointer, misuse->size);
    poke(pointer + misuse->size, 0);
    (void)misuse_got(secure_realloc(pointer, 8 * misuse->size));
}

static void overflow_by_a_page(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    misuse_expect(pointer, 0);
    poke(pointer + (misuse->size + page_size() - 1) / page_size() * page_size(), 1);
}

static void read_beyond(const struct misuse *misuse)
{
    const volatile char *pointer = misuse_buffer(misuse);
    misuse_expect((const void *)(uintptr_t)pointer, 0);
    (void)pointer[misuse->size];
}

/* ---- underflow ---- */

static void underflow_by_one(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    misuse_expect(pointer, misuse->size);
    poke(pointer - 1, 0);
    secure_free(pointer);
}

static void underflow_by_a_page(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    misuse_expect(pointer, 0);
    poke(pointer - page_size(), 0);
}

static void underflow_seen_by_realloc(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    misuse_expect(pointer, misuse->size);
    poke(pointer - 1, 0);
    (void)secure_realloc(pointer, misuse->size + 1);
}

/* In a slab, what is before a buffer is the end of another one's slot, and its canary. */
static void underflow_breaks_the_neighbour(const struct misuse *misuse)
{
    char *all[NEIGHBOURS];
    size_t low = 0;
    size_t high = 0;
    uintptr_t nearest = UINTPTR_MAX;
    for (size_t i = 0; i < NEIGHBOURS; i++) {
        all[i] = misuse_buffer(misuse);
    }
    for (size_t i = 0; i < NEIGHBOURS; i++) {
        for (size_t j = 0; j < NEIGHBOURS; j++) {
            if (all[i] < all[j] && (uintptr_t)all[j] - (uintptr_t)all[i] < nearest) {
                nearest = (uintptr_t)all[j] - (uintptr_t)all[i];
                low = i;
                high = j;
            }
        }
    }
    misuse_expect(all[low], misuse->size);
    poke(all[high] - 1, 0);
    secure_free(all[high]); /* it is whole itself */
    secure_free(all[low]);
}

/* ---- sizes ---- */

static void one_too_many(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    misuse_expect(pointer, misuse->size + 1);
    secure_free_sized(pointer, misuse->size + 1);
}

static void no_size(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    misuse_expect(pointer, 0);
    secure_free_sized(pointer, 0);
}

static void size_before_realloc(const struct misuse *misuse)
{
    char *pointer = secure_realloc(misuse_buffer(misuse), misuse->size - 1);
    misuse_expect(pointer, misuse->size);
    secure_free_sized(pointer, misuse->size);
}

/* ---- writing to what is free ---- */

static void write_after_free(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    secure_free(pointer);
    misuse_expect(pointer, 0);
    poke(pointer + (misuse->size < 1000 ? misuse->size - 1 : 1000), 1);
    /* Where the limit leaves no room for magazines, the other slot of the slab may come first. */
    for (int i = 0; i < 2; i++) {
        (void)misuse_buffer(misuse);
    }
}

static void write_after_realloc_moved(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    CHECK(misuse_got(secure_realloc(pointer, 200000)) != pointer);
    misuse_expect(pointer, 0);
    poke(pointer, 1);
    (void)misuse_buffer(misuse);
}

static void write_after_trim(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    secure_free(pointer);
    CHECK(secure_trim() > 0);
    misuse_expect(pointer, 0);
    poke(pointer, 1);
}

#define IN_SLABS(text, body, what)                                                                 \
    {text ", 1 byte", body, 1, SMALL, what}, {text ", 32 bytes", body, 32, SMALL, what},           \
        {text ", 120 bytes", body, 120, SMALL, what},                                              \
        {text ", 1000 bytes", body, 1000, SMALL, what},                                            \
    {                                                                                              \
        text ", 12000 bytes", body, 12000, SMALL, what                                             \
    }
#define EVERY_SORT(text, body, what)                                                               \
    IN_SLABS(text, body, what), {text ", large", body, 40000, SMALL, what},                        \
    {                                                                                              \
        text ", guarded", body, 100, GUARDED, what                                                 \
    }

#define OVERFLOW  "buffer overflow"
#define UNDERFLOW "buffer underflow"
#define AT_ONCE   NULL

/* 64 KiB is a whole number of pages, whatever their size. */
const struct misuse misuse_bytes[] = {
    EVERY_SORT("overflow by 0xff", overflow_by_one, OVERFLOW),
    EVERY_SORT("overflow by NUL", overflow_by_a_nul, OVERFLOW),
    EVERY_SORT("overflow 8 bytes beyond", overflow_beyond_a_byte, OVERFLOW),
    EVERY_SORT("overflow seen by realloc", overflow_seen_by_realloc, OVERFLOW),
    IN_SLABS("overflow seen by moving", overflow_seen_by_realloc_that_moves, OVERFLOW),
    {"overflow by a page, large", overflow_by_a_page, 40000, SMALL, AT_ONCE},
    {"overflow by a page, guarded", overflow_by_a_page, 100, GUARDED, AT_ONCE},
    {"overflow by one, guarded to the edge", overflow_by_one, 96, GUARDED, AT_ONCE},
    {"read beyond, guarded to the edge", read_beyond, 96, GUARDED, AT_ONCE},
    {"overflow by one, large to the edge", overflow_by_one, 1 << 16, SMALL, AT_ONCE},
    {"underflow by one, large", underflow_by_one, 40000, SMALL, AT_ONCE},
    {"underflow by one, guarded", underflow_by_one, 100, GUARDED, UNDERFLOW},
    {"underflow by one, whole guarded", underflow_by_one, 1 << 16, GUARDED, AT_ONCE},
    {"underflow by a page, guarded", underflow_by_a_page, 100, GUARDED, AT_ONCE},
    {"underflow seen by realloc, guarded", underflow_seen_by_realloc, 100, GUARDED, UNDERFLOW},
    IN_SLABS("underflow", underflow_breaks_the_neighbour, OVERFLOW),
    EVERY_SORT("a size too large by one", one_too_many, "wrong size"),
    EVERY_SORT("a size of 0", no_size, "wrong size"),
    {"the size before realloc, 32 bytes", size_before_realloc, 32, SMALL, "wrong size"},
    {"the size before realloc, large", size_before_realloc, 40000, SMALL, "wrong size"},
    {"the size before realloc, guarded", size_before_realloc, 100, GUARDED, "wrong size"},
    EVERY_SORT("write after free", write_after_free, "write after free"),
    IN_SLABS("write after moving", write_after_realloc_moved, "write after free"),
    {"write after trim, large", write_after_trim, 40000, SMALL, AT_ONCE},
    {"write after trim, guarded", write_after_trim, 100, GUARDED, AT_ONCE},
};

const size_t misuse_bytes_count = sizeof(misuse_bytes) / sizeof(misuse_bytes[0]);
