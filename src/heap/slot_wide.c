/* SPDX-License-Identifier: ISC */
#include "heap/slot_wide_body.h"

const struct slot_wide slot_wide_any = {
    SLOT_WIDE_FUNCTIONS,
    .wipe = wipe,
};
