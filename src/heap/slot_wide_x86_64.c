/* SPDX-License-Identifier: ISC */
#include "heap/slot_wide.h"

const struct slot_wide *slot_wide_best(void)
{
    __builtin_cpu_init(); /* we may be asked before any constructor has run */
    bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
    return has_avx2 ? &slot_wide_avx2 : &slot_wide_any;
}
