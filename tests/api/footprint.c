/* SPDX-License-Identifier: ISC */
/*
 * What memory it takes: how much is locked and resident for so many keys, in how many mappings, and
 * how much of it comes back. Counts, no times. They are meant for pages of 4 KiB.
 */
#include "api/footprint.h"

#include <errno.h>
#include <secure_malloc.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "api/child.h"
#include "api/look.h"
#include "api/well.h"

enum { BURST = 100000, BURST_SIZE = 64, KEYS = 1000000, KEY_SIZE = 32 };

static char *all[KEYS];

/* The table of pointers itself must not be part of what grows. */
static void touch_table(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        all[i] = unknown(all);
    }
}

/* The sanitizers keep a shadow of all that is touched: there only what is ours can be counted. */
static uint64_t resident_now(void)
{
    return SANITIZED ? look_at_ours().resident : look_anonymous();
}

static void take(size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        all[i] = secure_malloc(size);
        CHECK(all[i] != NULL);
        memset(all[i], 1, size);
    }
}

void footprint_burst(void (*at_peak)(void))
{
    take(BURST, BURST_SIZE);
    at_peak();
    for (size_t i = 0; i < BURST; i++) {
        secure_free(all[i]);
    }
}

static uint64_t before_burst;
static uint64_t growth;
static uint64_t locked_at_peak;

static void look_at_peak(void)
{
    const struct ours ours = look_at_ours();
    growth = resident_now() - before_burst;
    locked_at_peak = ours.locked_bytes;
    CHECK(growth >= (uint64_t)BURST * BURST_SIZE);
    CHECK(ours.locked_bytes >= (uint64_t)BURST * BURST_SIZE);
    CHECK_EQUAL(ours.open_unlocked, 0);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 0);
    CHECK(audit_now().resident_bytes >= (uint64_t)BURST * BURST_SIZE);
}

static void check_that_is_back(unsigned per_mille)
{
    const uint64_t now = resident_now();
    const uint64_t kept = now > before_burst ? now - before_burst : 0;
    CHECK(kept * 1000 <= growth * (1000 - per_mille));
}

/* In the order in which they were allocated. */
static void a_burst_is_given_back_without_a_call(void *context)
{
    (void)context;
    child_needs_to_lock(10240);
    touch_table(BURST);
    secure_free(secure_malloc(BURST_SIZE));
    check_well(); /* what looking takes, of stack and so on, is taken now */
    before_burst = resident_now();
    footprint_burst(look_at_peak);
    check_that_is_back(980);
    CHECK_EQUAL(look_at_ours().locked_bytes, locked_at_peak); /* still ours to use */
    CHECK(look_status("VmLck") >= locked_at_peak);
    CHECK_EQUAL(stats_now().locked_bytes, locked_at_peak);
    CHECK(stats_now().purges > 0);
    (void)secure_purge();
    check_that_is_back(995);
    check_well();
}

static void check_million_keys(size_t mappings_before)
{
    const uint64_t keys = KEYS;
    const struct ours ours = look_at_ours();
    CHECK(ours.mappings <= 40);
    CHECK(SANITIZED || look_mappings() <= mappings_before + 40); /* they map as we go */
    CHECK(ours.locked_bytes <= 52 * keys);
    CHECK(ours.locked_bytes >= KEY_SIZE * keys);
    CHECK_EQUAL(audit_now().unlocked_live_bytes, 0);
    CHECK_EQUAL(stats_now().locked_bytes, ours.locked_bytes);
    CHECK_EQUAL(stats_now().live_bytes, KEY_SIZE * keys);
}

static void a_million_keys_are_packed(void *context)
{
    (void)context;
    child_needs_to_lock(53248);
    touch_table(KEYS);
    CHECK(secure_init(NULL) == 0);
    const size_t mappings = look_mappings();
    const uint64_t before = resident_now();
    take(KEYS, KEY_SIZE);
    check_million_keys(mappings);
    const uint64_t resident = resident_now() - before;
    CHECK(resident <= (uint64_t)56 * KEYS);
    CHECK(resident >= (uint64_t)KEY_SIZE * KEYS);
    const uint64_t locked = stats_now().locked_bytes;
    for (size_t i = 0; i < KEYS; i++) {
        secure_free(all[i]);
    }
    const size_t budget = secure_trim();
    CHECK(budget >= locked / 10 * 9);
    CHECK_EQUAL(stats_now().locked_bytes, locked - budget);
    check_well();
}

/* What the small ones took is used for the big ones, and the other way round. */
static void small_then_big_then_small_again(void *context)
{
    enum { LIVE = 10000 };
    (void)context;
    child_needs_to_lock(32768);
    CHECK(secure_init(NULL) == 0);
    touch_table(LIVE);
    const uint64_t before = resident_now();
    take(LIVE, 64);
    const uint64_t first = resident_now() - before;
    for (size_t i = 0; i < LIVE; i++) {
        secure_free(all[i]);
    }
    take(LIVE, 1000);
    for (size_t i = 0; i < LIVE; i++) {
        secure_free(all[i]);
    }
    take(LIVE, 64);
    const uint64_t last = resident_now() - before;
    CHECK(last * 2 <= first * 3);
    check_well();
}

int main(int count, char **arguments)
{
    footprint_started_again(count, arguments);
    const struct CMUnitTest tests[] = {
        IN_CHILD(a_burst_is_given_back_without_a_call),
        IN_CHILD(a_million_keys_are_packed),
        IN_CHILD(small_then_big_then_small_again),
        cmocka_unit_test(footprint_purges_are_batched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
