/* SPDX-License-Identifier: ISC */
/* What is freed is free: it cannot be freed, resized, protected or asked about. */
#include <pthread.h>
#include <secure_malloc.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/child.h"
#include "death/misuse.h"

enum { MANY = 400 };

/* ---- freeing what is free ---- */

static void free_twice(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    secure_free(pointer);
    misuse_expect(pointer, 0);
    secure_free(pointer);
}

static void free_sized_twice(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    secure_free_sized(pointer, misuse->size);
    misuse_expect(pointer, 0);
    secure_free_sized(pointer, misuse->size);
}

static void realloc_freed(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    secure_free(pointer);
    misuse_expect(pointer, 0);
    (void)secure_realloc(pointer, misuse->size + 1);
}

static void *free_it(void *pointer)
{
    secure_free(pointer);
    return NULL;
}

static void free_here_and_in_a_thread(const struct misuse *misuse)
{
    pthread_t thread;
    char *pointer = misuse_buffer(misuse);
    CHECK(pthread_create(&thread, NULL, free_it, pointer) == 0);
    pthread_join(thread, NULL);
    misuse_expect(pointer, 0);
    secure_free(pointer);
}

static void free_in_a_thread_after_here(const struct misuse *misuse)
{
    pthread_t thread;
    char *pointer = misuse_buffer(misuse);
    secure_free(pointer);
    misuse_expect(pointer, 0);
    CHECK(pthread_create(&thread, NULL, free_it, pointer) == 0);
    pthread_join(thread, NULL);
}

/* Fills buffers, frees them all, the returned one among the first: its slot has left the magazine.
 */
static char *one_of_many_freed(const struct misuse *misuse)
{
    static char *all[MANY];
    for (size_t i = 0; i < MANY; i++) {
        all[i] = misuse_buffer(misuse);
    }
    for (size_t i = 0; i < MANY; i++) {
        secure_free(all[i]);
    }
    return all[0];
}

/* Its neighbours in the slab are live, so the slab is not given back. */
static void free_after_its_magazine_was_flushed(const struct misuse *misuse)
{
    static char *all[MANY];
    for (size_t i = 0; i < MANY; i++) {
        all[i] = misuse_buffer(misuse);
    }
    for (size_t i = 0; i < MANY; i += 2) {
        secure_free(all[i]);
    }
    misuse_expect(all[0], 0);
    secure_free(all[0]);
}

static void free_after_its_slab_emptied(const struct misuse *misuse)
{
    char *pointer = one_of_many_freed(misuse);
    misuse_expect(pointer, 0);
    secure_free(pointer);
}

static void free_after_purge(const struct misuse *misuse)
{
    char *pointer = one_of_many_freed(misuse);
    (void)secure_purge();
    misuse_expect(pointer, 0);
    secure_free(pointer);
}

static void free_after_trim(const struct misuse *misuse)
{
    char *pointer = one_of_many_freed(misuse);
    CHECK(secure_trim() > 0);
    misuse_expect(pointer, 0);
    secure_free(pointer);
}

static void free_one_after_purge(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    secure_free(pointer);
    CHECK(secure_purge() > 0);
    misuse_expect(pointer, 0);
    secure_free(pointer);
}

static void free_one_after_trim(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    secure_free(pointer);
    CHECK(secure_trim() > 0);
    misuse_expect(pointer, 0);
    secure_free(pointer);
}

static void free_after_fork(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    secure_free(pointer);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) { /* its end is the one that is looked at: the line, and the runner's abort */
        misuse_expect(pointer, 0);
        secure_free(pointer);
        child_exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    abort();
}

/* ---- using what is free ---- */

static void ask_size_of_freed(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    secure_free(pointer);
    misuse_expect(pointer, 0);
    (void)secure_usable_size(pointer);
}

static void protect_freed(const struct misuse *misuse)
{
    char *pointer = misuse_buffer(misuse);
    secure_free(pointer);
    misuse_expect(pointer, 0);
    (void)secure_protect(pointer, SECURE_READ_ONLY);
}

/* A row for a slab of each sort, and for a large and a guarded buffer. */
#define EVERY_SORT(text, body, what)                                                               \
    {text ", 1 byte", body, 1, SMALL, what}, {text ", 32 bytes", body, 32, SMALL, what},           \
        {text ", 1000 bytes", body, 1000, SMALL, what},                                            \
        {text ", 12000 bytes", body, 12000, SMALL, what},                                          \
        {text ", large", body, 40000, SMALL, what},                                                \
    {                                                                                              \
        text ", guarded", body, 100, GUARDED, what                                                 \
    }

#define DOUBLE_FREE "double free"
#define INVALID     "invalid pointer"

const struct misuse misuse_freed[] = {
    EVERY_SORT("free twice", free_twice, DOUBLE_FREE),
    EVERY_SORT("free_sized twice", free_sized_twice, DOUBLE_FREE),
    EVERY_SORT("realloc of freed", realloc_freed, DOUBLE_FREE),
    EVERY_SORT("freed by a thread, then here", free_here_and_in_a_thread, DOUBLE_FREE),
    EVERY_SORT("freed here, then by a thread", free_in_a_thread_after_here, DOUBLE_FREE),
    EVERY_SORT("free twice around a fork", free_after_fork, DOUBLE_FREE),
    {"free after the magazine, 1 byte", free_after_its_magazine_was_flushed, 1, SMALL, DOUBLE_FREE},
    {"free after the magazine, 32 bytes", free_after_its_magazine_was_flushed, 32, SMALL,
     DOUBLE_FREE},
    {"free after the magazine, 1000 bytes", free_after_its_magazine_was_flushed, 1000, SMALL,
     DOUBLE_FREE},
    {"free after its slab emptied, 1 byte", free_after_its_slab_emptied, 1, SMALL, DOUBLE_FREE},
    {"free after its slab emptied, 32 bytes", free_after_its_slab_emptied, 32, SMALL, DOUBLE_FREE},
    {"free after its slab emptied, 120 bytes", free_after_its_slab_emptied, 120, SMALL,
     DOUBLE_FREE},
    {"free after purge, 1 byte", free_after_purge, 1, SMALL, DOUBLE_FREE},
    {"free after purge, 32 bytes", free_after_purge, 32, SMALL, DOUBLE_FREE},
    {"free after purge, 120 bytes", free_after_purge, 120, SMALL, DOUBLE_FREE},
    {"free after trim, 1 byte", free_after_trim, 1, SMALL, DOUBLE_FREE},
    {"free after trim, 32 bytes", free_after_trim, 32, SMALL, DOUBLE_FREE},
    {"free after trim, 120 bytes", free_after_trim, 120, SMALL, DOUBLE_FREE},
    {"free after purge, large", free_one_after_purge, 40000, SMALL, DOUBLE_FREE},
    {"free after purge, guarded", free_one_after_purge, 100, GUARDED, DOUBLE_FREE},
    {"free after trim, large", free_one_after_trim, 40000, SMALL, DOUBLE_FREE},
    {"free after trim, guarded", free_one_after_trim, 100, GUARDED, DOUBLE_FREE},
    EVERY_SORT("usable_size of freed", ask_size_of_freed, INVALID),
    EVERY_SORT("protect of freed", protect_freed, INVALID),
};

const size_t misuse_freed_count = sizeof(misuse_freed) / sizeof(misuse_freed[0]);
