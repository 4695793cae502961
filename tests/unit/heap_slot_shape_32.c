/* SPDX-License-Identifier: ISC */
/* heap/slot_shape.h with lines of 32 bytes, as heap/slot_wide_avx2.c has it. */
#define SLOT_LINE 32
#include "unit/heap_slot_shape.h"

#include "support/skip.h"

int main(void)
{
#ifdef __AVX2__
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2")) {
        skip_program("unit.heap_slot_shape_32", "this processor has no AVX2");
    }
#endif
    return shaped_run();
}
