/* SPDX-License-Identifier: ISC */
/*
 * When to give dirty pages back, and how many. Pure functions on plain numbers of bytes.
 *
 * Nothing happens below a limit; above it, one batch takes the dirty bytes down to half of it. The
 * default limit is the larger of 128 KiB and an eighth of what is live. Pages that a program takes
 * again right after they were given back were given back for nothing: if at least half of a batch
 * was, the limit doubles, and if nothing was, it halves back to the default. While a load recedes,
 * batch after batch without a page taken again, half of that limit is enough. So a steady load
 * never enters the kernel, and a burst is given back.
 *
 * It may double up to the peak of live and dirty bytes in recent times: a program that frees and
 * allocates one large buffer in a loop has its whole peak dirty between the two, so a lower bound
 * would purge it each time round.
 */
#ifndef SECURE_MALLOC_POLICY_PURGE_POLICY_H
#define SECURE_MALLOC_POLICY_PURGE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum { PURGE_BATCH_BYTES_MAX = 1024 * 1024 };

struct purge_policy {
    uint64_t configured; /* the option purge_limit; UINT64_MAX: the default, which adapts */
    uint64_t adapted;    /* the limit that the program's behaviour asks for; 0 at first */
    uint64_t peak;       /* of live + dirty; halves its distance to the present at each batch */
    uint64_t batch;      /* bytes of the last batch */
    bool is_receding;    /* nothing was taken between the last two batches */
    uint64_t retaken;    /* bytes taken since then that had to be faulted in again */
};

void purge_policy_init(struct purge_policy *policy, uint64_t configured);

/* To be told whenever a run is taken: how much is in use, and how much of the run was not resident.
 */
void purge_policy_taken(struct purge_policy *policy, uint64_t live, uint64_t dirty,
                        uint64_t refaulted);

/* The limit in force. */
uint64_t purge_policy_limit(const struct purge_policy *policy, uint64_t live);

/* How many bytes to give back now: 0 while dirty is at or below the limit; else down to half of it,
 * but at most PURGE_BATCH_BYTES_MAX. */
uint64_t purge_policy_due(const struct purge_policy *policy, uint64_t live, uint64_t dirty);

/* How many bytes may be made resident in advance when a run is taken that is not: a sixteenth of
 * what is live, so that a small heap stays small, and no more than half of what may be dirty. */
uint64_t purge_policy_ahead(const struct purge_policy *policy, uint64_t live, uint64_t dirty);

/* To be told of each batch that was due (not of secure_purge), with what was dirty before it:
 * adapts the limit to what became of the batch before. */
void purge_policy_done(struct purge_policy *policy, uint64_t live, uint64_t dirty, uint64_t batch);

#endif
