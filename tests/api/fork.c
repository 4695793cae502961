/* SPDX-License-Identifier: ISC */
/* What a forked child sees of its parent's secrets, and that its heap works. */
#include "api/fork.h"

#include <string.h>
#include <unistd.h>

#include "api/child.h"
#include "api/churn.h"
#include "api/well.h"
#include "support/limits.h"

void init_on_fork(uint32_t on_fork, uint32_t on_lock_failure)
{
    struct secure_options options = SECURE_OPTIONS_INIT;
    options.on_fork = on_fork;
    options.on_lock_failure = on_lock_failure;
    CHECK(secure_init(&options) == 0);
}

void sorts_take(struct sorts *sorts)
{
    static const size_t sizes[SORTS] = {1, 32, 300, 3000, 17000, 100};
    for (size_t i = 0; i < SORTS; i++) {
        sorts->sizes[i] = sizes[i];
        sorts->bytes[i] =
            i == SORTS - 1 ? secure_malloc_guarded(sizes[i]) : secure_malloc(sizes[i]);
        CHECK(sorts->bytes[i] != NULL);
        memset(sorts->bytes[i], (int)i + 1, sizes[i]);
    }
}

static void check_all(const struct sorts *sorts, unsigned char factor)
{
    for (size_t i = 0; i < SORTS; i++) {
        CHECK_EQUAL(secure_usable_size(sorts->bytes[i]), sorts->sizes[i]);
        for (size_t j = 0; j < sorts->sizes[i]; j++) {
            CHECK_EQUAL(sorts->bytes[i][j], factor * (i + 1));
        }
    }
}

void sorts_check(const struct sorts *sorts)
{
    check_all(sorts, 1);
}

void sorts_check_zero(const struct sorts *sorts)
{
    check_all(sorts, 0);
}

void sorts_give(const struct sorts *sorts)
{
    for (size_t i = 0; i < SORTS; i++) {
        secure_free_sized(sorts->bytes[i], sorts->sizes[i]);
    }
}

void in_fork(void (*body)(void *context), void *context)
{
    const pid_t child = fork();
    if (child == 0) {
        body(context);
        child_exit(0);
    }
    child_wait(child);
}

size_t fork_use_size(void)
{
    return limits_need_memlock(2 << 20) ? 200000 : 400;
}

void fork_under_load(uint32_t on_fork, void (*body)(void *context))
{
    struct sorts sorts;
    child_needs_to_lock(4096);
    init_on_fork(on_fork, SECURE_LOCK_FAIL);
    sorts_take(&sorts);
    churn_start(3, false);
    for (int i = 0; i < 20; i++) {
        in_fork(body, &sorts);
        use_heap(10000);
    }
    CHECK(churn_stop() > 0);
    sorts_check(&sorts);
    sorts_give(&sorts);
    check_well();
}

int main(void)
{
    const int failed = fork_keep() + fork_threads() + fork_wipe() + fork_drop() + fork_refused();
    return failed > 0;
}
