/* SPDX-License-Identifier: ISC */
/* For processors that have nothing better than what every one has. */
#include "heap/slot_wide.h"

const struct slot_wide *slot_wide_best(void)
{
    return &slot_wide_any;
}
