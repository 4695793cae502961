/* SPDX-License-Identifier: ISC */
/* heap/slot_shape.h with lines of 32 bytes, as heap/slot_wide_avx2.c has it. */
#include "support/skip.h"

#ifdef __AVX2__

#include "heap/slot_line_avx2.h"
#include "unit/heap_slot_shape.h"

int main(void)
{
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2")) {
        skip_program("unit.heap_slot_shape_32", "this processor has no AVX2");
    }
    return shaped_run();
}

#else

int main(void)
{
    skip_program("unit.heap_slot_shape_32", "the build has no AVX2");
}

#endif
