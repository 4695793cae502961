/* SPDX-License-Identifier: ISC */
/* A working heap or the documented errno under every limit, and never an unlocked secret. */
#include "fault/limits.h"

#include <errno.h>
#include <string.h>

#include "api/child.h"

enum { KEYS = 600000, KEY_SIZE = 32 };

static char *keys[KEYS];
static size_t count;

size_t limits_fill(void)
{
    while (count < KEYS) {
        char *key = secure_malloc(KEY_SIZE);
        if (key == NULL) {
            break;
        }
        memset(key, 1, KEY_SIZE);
        keys[count++] = key;
    }
    CHECK(count < KEYS); /* or there was no limit */
    return count;
}

void limits_empty(void)
{
    while (count > 0) {
        char *key = keys[--count];
        CHECK(key[0] == 1 && key[KEY_SIZE - 1] == 1);
        secure_free_sized(key, KEY_SIZE);
    }
}

void limits_init(uint32_t on_lock_failure)
{
    struct secure_options options = SECURE_OPTIONS_INIT;
    options.on_lock_failure = on_lock_failure;
    CHECK(secure_init(&options) == 0);
}

int main(void)
{
    const int failed = limits_memlock() + limits_process() + limits_address_space();
    return failed > 0;
}
