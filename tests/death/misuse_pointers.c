/* SPDX-License-Identifier: ISC */
/* Pointers that are not the start of a live buffer. */
#include <secure_malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "api/child.h"
#include "api/look.h"
#include "death/misuse.h"

static void free_inside(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse) + 16;
    misuse_expect(pointer, misuse->size);
    secure_free(pointer);
}

static void free_next_byte(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse) + 1;
    misuse_expect(pointer, misuse->size);
    secure_free(pointer);
}

static void free_last_byte(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse) + misuse->size - 1;
    misuse_expect(pointer, misuse->size);
    secure_free(pointer);
}

static void realloc_inside(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse) + 16;
    misuse_expect(pointer, misuse->size);
    (void)secure_realloc(pointer, misuse->size);
}

static void ask_size_inside(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse) + 16;
    misuse_expect(pointer, misuse->size);
    (void)secure_usable_size(pointer);
}

static void protect_inside(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse) + 16;
    misuse_expect(pointer, misuse->size);
    (void)secure_protect(pointer, SECURE_READ_ONLY);
}

static void free_inside_freed(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    secure_free(pointer);
    misuse_expect(pointer + 16, 0);
    secure_free(pointer + 16);
}

/* The page behind a large or a guarded buffer belongs to nobody. */
static void free_in_the_rear_gap(const struct misuse *misuse)
{
    const uintptr_t page = page_size();
    char *pointer = misuse_buffer(misuse);
    char *gap = unknown((void *)(((uintptr_t)pointer + misuse->size + page - 1) / page * page));
    misuse_expect(gap, 0);
    secure_free(gap);
}

static void free_a_static(const struct misuse *misuse)
{
    static char foreign[64];
    (void)misuse_buffer(misuse);
    misuse_expect(foreign, 0);
    secure_free(unknown(foreign));
}

static void free_on_the_stack(const struct misuse *misuse)
{
    char foreign[64];
    (void)misuse_buffer(misuse);
    misuse_expect(foreign, 0);
    secure_free(unknown(foreign));
}

static void free_from_malloc(const struct misuse *misuse)
{
    char *foreign = malloc(misuse->size);
    (void)misuse_buffer(misuse);
    misuse_expect(foreign, 0);
    secure_free(unknown(foreign));
}

static void free_a_mapping(const struct misuse *misuse)
{
    void *foreign = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)misuse_buffer(misuse);
    misuse_expect(foreign, 0);
    secure_free(unknown(foreign));
}

static void free_in_the_null_page(const struct misuse *misuse)
{
    void *foreign = (void *)(uintptr_t)16;
    (void)misuse_buffer(misuse);
    misuse_expect(foreign, 0);
    secure_free(unknown(foreign));
}

static void free_the_highest_address(const struct misuse *misuse)
{
    void *foreign = (void *)(UINTPTR_MAX - 15);
    (void)misuse_buffer(misuse);
    misuse_expect(foreign, 0);
    secure_free(unknown(foreign));
}

/* Nothing was allocated yet: the tables are empty. */
static void free_foreign_first_of_all(const struct misuse *misuse)
{
    misuse_expect(misuse, 0);
    secure_free(unknown((void *)(uintptr_t)misuse));
}

static void realloc_foreign(const struct misuse *misuse)
{
    static char foreign[64];
    (void)misuse_buffer(misuse);
    misuse_expect(foreign, 0);
    (void)secure_realloc(unknown(foreign), misuse->size);
}

static void ask_size_of_foreign(const struct misuse *misuse)
{
    static char foreign[64];
    (void)misuse_buffer(misuse);
    misuse_expect(foreign, 0);
    (void)secure_usable_size(unknown(foreign));
}

static void protect_foreign(const struct misuse *misuse)
{
    static char foreign[64];
    (void)misuse_buffer(misuse);
    misuse_expect(foreign, 0);
    (void)secure_protect(unknown(foreign), SECURE_NO_ACCESS);
}

/* A row for slabs of two sorts, and for a large and a guarded buffer. */
#define EVERY_SORT(text, body, what)                                                               \
    {text ", 32 bytes", body, 32, SMALL, what}, {text ", 12000 bytes", body, 12000, SMALL, what},  \
        {text ", large", body, 40000, SMALL, what},                                                \
    {                                                                                              \
        text ", guarded", body, 100, GUARDED, what                                                 \
    }

#define INTERIOR "interior pointer"
#define INVALID  "invalid pointer"

const struct misuse misuse_pointers[] = {
    EVERY_SORT("free inside", free_inside, INTERIOR),
    EVERY_SORT("free at the second byte", free_next_byte, INTERIOR),
    EVERY_SORT("free at the last byte", free_last_byte, INTERIOR),
    EVERY_SORT("realloc inside", realloc_inside, INTERIOR),
    EVERY_SORT("usable_size inside", ask_size_inside, INTERIOR),
    EVERY_SORT("protect inside", protect_inside, INTERIOR),
    {"free inside a freed slot", free_inside_freed, 1000, SMALL, INVALID},
    {"free in the gap behind, large", free_in_the_rear_gap, 40000, SMALL, INVALID},
    {"free in the gap behind, guarded", free_in_the_rear_gap, 100, GUARDED, INVALID},
    {"free of a static", free_a_static, 32, SMALL, INVALID},
    {"free on the stack", free_on_the_stack, 32, SMALL, INVALID},
    {"free of malloc's", free_from_malloc, 32, SMALL, INVALID},
    {"free of a large malloc's", free_from_malloc, 400000, SMALL, INVALID},
    {"free of a mapping", free_a_mapping, 32, SMALL, INVALID},
    {"free in the null page", free_in_the_null_page, 32, SMALL, INVALID},
    {"free of the highest address", free_the_highest_address, 32, SMALL, INVALID},
    {"free of a foreign pointer first of all", free_foreign_first_of_all, 32, SMALL, INVALID},
    {"realloc of a foreign pointer", realloc_foreign, 32, SMALL, INVALID},
    {"usable_size of a foreign pointer", ask_size_of_foreign, 32, SMALL, INVALID},
    {"protect of a foreign pointer", protect_foreign, 32, SMALL, INVALID},
};

const size_t misuse_pointers_count = sizeof(misuse_pointers) / sizeof(misuse_pointers[0]);
