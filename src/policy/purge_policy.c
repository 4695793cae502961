/* SPDX-License-Identifier: ISC */
#include "policy/purge_policy.h"

#include <stdbool.h>

static const uint64_t DEFAULT = UINT64_MAX;

enum { LIMIT_LEAST = 128 * 1024, LIMIT_OF_LIVE = 8, AHEAD_OF_LIVE = 16 };

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void purge_policy_init(struct purge_policy *policy, uint64_t configured)
{
    *policy = (struct purge_policy){.configured = configured};
}

void purge_policy_taken(struct purge_policy *policy, uint64_t live, uint64_t dirty,
                        uint64_t refaulted)
{
    policy->peak = larger(policy->peak, live + dirty);
    policy->retaken += refaulted;
}

uint64_t purge_policy_limit(const struct purge_policy *policy, uint64_t live)
{
    if (policy->configured != DEFAULT) {
        return policy->configured;
    }
    uint64_t limit = larger(policy->adapted, larger(LIMIT_LEAST, live / LIMIT_OF_LIVE));
    return policy->is_receding ? limit / 2 : limit;
}

uint64_t purge_policy_due(const struct purge_policy *policy, uint64_t live, uint64_t dirty)
{
    uint64_t limit = purge_policy_limit(policy, live);
    return dirty <= limit ? 0 : smaller(dirty - limit / 2, PURGE_BATCH_BYTES_MAX);
}

uint64_t purge_policy_ahead(const struct purge_policy *policy, uint64_t live, uint64_t dirty)
{
    uint64_t most = purge_policy_limit(policy, live) / 2;
    return dirty < most ? smaller(most - dirty, live / AHEAD_OF_LIVE) : 0;
}

void purge_policy_done(struct purge_policy *policy, uint64_t live, uint64_t dirty, uint64_t batch)
{
    uint64_t limit = purge_policy_limit(policy, live);
    policy->is_receding = policy->batch > 0 && policy->retaken == 0;
    if (policy->batch > 0 && policy->retaken >= policy->batch - policy->batch / 2) {
        policy->adapted = larger(limit, smaller(limit * 2, policy->peak));
    } else if (policy->retaken == 0) {
        policy->adapted = limit / 2;
    }

    uint64_t present = live + dirty;
    if (policy->peak > present) {
        policy->peak -= (policy->peak - present) / 2;
    }
    policy->batch = batch;
    policy->retaken = 0;
}
