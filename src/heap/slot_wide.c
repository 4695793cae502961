/* SPDX-License-Identifier: ISC */
#include "heap/slot_wide.h"

const struct slot_wide slot_wide_any = {
    .allocate = wide_allocate,
    .free = wide_free,
    .wipe = wipe,
    .begins_zero = wide_begins_zero,
};
