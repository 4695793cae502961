/* SPDX-License-Identifier: ISC */
#include "api/well.h"

#include <errno.h>
#include <string.h>

#include "api/child.h"
#include "api/look.h"

struct secure_stats stats_now(void)
{
    struct secure_stats stats = SECURE_STATS_INIT;
    CHECK(secure_stats(&stats) == 0);
    return stats;
}

struct secure_audit audit_now(void)
{
    struct secure_audit audit = SECURE_AUDIT_INIT;
    CHECK(secure_audit(&audit) == 0);
    return audit;
}

/* Each look reads all of smaps, which takes long where there are many mappings: one each. */
static struct secure_audit check_sums(struct ours *ours)
{
    const struct secure_stats stats = stats_now();
    const struct secure_audit audit = audit_now();
    *ours = look_at_ours();
    CHECK_EQUAL(stats.live_count + stats.cached_slots + stats.free_slots, stats.all_slots);
    CHECK_EQUAL(stats.locked_bytes, ours->locked_bytes);
    CHECK(stats.reserved_bytes >= ours->bytes);
    CHECK(look_status("VmLck") >= ours->locked_bytes);
    CHECK_EQUAL(audit.dumpable_live_bytes, 0);
    CHECK_EQUAL(audit.mergeable_live_bytes, 0);
    return audit;
}

void check_well_but_unlocked(void)
{
    struct ours ours;
    const struct secure_audit audit = check_sums(&ours);
    CHECK(stats_now().unlocked_bytes >= audit.unlocked_live_bytes);
}

void check_well(void)
{
    struct ours ours;
    const struct secure_audit audit = check_sums(&ours);
    CHECK_EQUAL(stats_now().unlocked_bytes, 0);
    CHECK_EQUAL(audit.unlocked_live_bytes, 0);
    CHECK_EQUAL(ours.open_unlocked, 0);
}

/* ---- use ---- */

enum { BUFFERS = 600 };

struct buffer {
    unsigned char *bytes;
    size_t size;
    unsigned char byte;
};

static void check_filled(const struct buffer *buffer)
{
    for (size_t i = 0; i < buffer->size; i++) {
        CHECK_EQUAL(buffer->bytes[i], buffer->byte);
    }
}

static void take(struct buffer *buffer, size_t size, size_t number)
{
    buffer->size = size;
    buffer->byte = (unsigned char)(number % 255 + 1);
    buffer->bytes = number % 150 == 149 ? secure_malloc_guarded(size) : secure_malloc(size);
    CHECK(buffer->bytes != NULL);
    for (size_t i = 0; i < size; i++) {
        CHECK(buffer->bytes[i] == 0);
    }
    memset(buffer->bytes, buffer->byte, size);
}

static void resize(struct buffer *buffer)
{
    const size_t size = buffer->size / 2 + 20;
    unsigned char *moved = secure_realloc(buffer->bytes, size);
    CHECK(moved != NULL);
    for (size_t i = buffer->size; i < size; i++) {
        CHECK(moved[i] == 0);
    }
    memset(moved, buffer->byte, size);
    buffer->bytes = moved;
    buffer->size = size;
}

static void give(struct buffer *buffer)
{
    check_filled(buffer);
    secure_free_sized(buffer->bytes, buffer->size);
    buffer->bytes = NULL;
}

/* Mostly small ones; some of a page, some large. */
static size_t size_of(size_t number, size_t bytes)
{
    static const size_t sizes[] = {32, 32, 64, 16, 100, 240, 32, 1000};
    if (number % 40 == 39 && bytes >= (size_t)256 << 10) {
        return 40000;
    }
    return number % 20 == 19 ? 5000 : sizes[number % 8] + number % 7;
}

void use_heap(size_t bytes)
{
    struct buffer buffers[BUFFERS];
    size_t count = 0;
    size_t taken = 0;
    while (count < BUFFERS && taken + size_of(count, bytes) <= bytes) {
        take(&buffers[count], size_of(count, bytes), count);
        taken += buffers[count++].size;
    }
    for (size_t i = 0; i < count; i += 2) {
        give(&buffers[i]);
    }
    for (size_t i = 1; i < count; i += 2) {
        resize(&buffers[i]);
    }
    for (size_t i = 0; i < count; i += 2) {
        take(&buffers[i], size_of(i, bytes) / 2, i);
    }
    for (size_t i = count; i-- > 0;) {
        give(&buffers[i]);
    }
}
