/* SPDX-License-Identifier: ISC */
/* The parts of api.fork. */
#ifndef SECURE_MALLOC_TESTS_API_FORK_H
#define SECURE_MALLOC_TESTS_API_FORK_H

#include <secure_malloc.h>
#include <stddef.h>
#include <stdint.h>

/* Each runs its tests, and returns how many failed. */
int fork_keep(void);
int fork_threads(void);
int fork_wipe(void);
int fork_drop(void);
int fork_refused(void);

/* One buffer of each sort, filled. */
enum { SORTS = 6 };
struct sorts {
    unsigned char *bytes[SORTS]; /* the last one is guarded */
    size_t sizes[SORTS];
};

void sorts_take(struct sorts *sorts);
void sorts_check(const struct sorts *sorts);
void sorts_check_zero(const struct sorts *sorts);
void sorts_give(const struct sorts *sorts);

void init_on_fork(uint32_t on_fork, uint32_t on_lock_failure);

/* Runs this in a forked child, which must survive. */
void in_fork(void (*body)(void *context), void *context);

/* Forks again and again while threads allocate and free; each child runs this, with the sorts that
 * its parent had. */
void fork_under_load(uint32_t on_fork, void (*body)(void *context));

/* As much as the limit has room for beside sorts. */
size_t fork_use_size(void);

#endif
