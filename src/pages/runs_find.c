/* SPDX-License-Identifier: ISC */
/* Which chunk a run is taken from. */
#include "pages/pages.h"
#include "pages/runs.h"

/* Runs are looked for in so many of the latest dirty chunks: their pages are still in the caches.
 */
enum { DIRTY_CHUNKS_TRIED = 8 };

static bool is_of(const struct chunk *chunk, enum chunk_kind kind)
{
    return chunk->kind == kind || chunk->kind == CHUNK_IDLE;
}

/* A chunk with a run of dirty pages, of the last that got some. */
static struct chunk *find_dirty(const struct runs *runs, size_t count, enum chunk_kind kind)
{
    struct chunk *chunk = runs->dirty_last;
    for (int tried = 0; chunk != NULL && tried < DIRTY_CHUNKS_TRIED; tried++) {
        if (is_of(chunk, kind) && run_starts(chunk->dirty, count) != 0) {
            return chunk;
        }
        chunk = chunk->dirty_prev;
    }
    return NULL;
}

static struct chunk *find_free(const struct runs *runs, size_t count, enum chunk_kind kind)
{
    for (size_t bin = count; bin <= RUN_PAGES_MAX; bin++) {
        if (runs->free[kind][bin] != NULL) {
            return runs->free[kind][bin];
        }
    }
    return NULL;
}

/* Single pages among longer runs: in one chunk after the other, and first where there is much room.
 * Scattered, each would keep a page of records to itself. */
static struct chunk *find_lodging(struct runs *runs)
{
    struct chunk *chunk = runs->lodging;
    if (chunk != NULL && chunk->kind == CHUNK_LONGER && chunk->bin != 0) {
        return chunk;
    }
    chunk = NULL;
    for (size_t bin = RUN_PAGES_MAX; chunk == NULL && bin > 0; bin--) {
        chunk = runs->free[CHUNK_LONGER][bin];
    }
    runs->lodging = chunk;
    return chunk;
}

struct chunk *runs_find(struct runs *runs, size_t count)
{
    enum chunk_kind kind = chunk_kind_for(count);
    struct chunk *chunk = find_dirty(runs, count, kind);
    chunk = chunk != NULL ? chunk : find_free(runs, count, kind);
    chunk = chunk != NULL ? chunk : find_free(runs, count, CHUNK_IDLE);
    if (chunk == NULL) {
        chunk = kind == CHUNK_SINGLE ? find_lodging(runs) : find_free(runs, count, CHUNK_SINGLE);
    }
    return chunk;
}
