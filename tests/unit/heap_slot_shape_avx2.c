/* SPDX-License-Identifier: ISC */
/* heap/slot_shape.h as heap/slot_wide_avx2.c has it: a line is one register. */
#include "support/skip.h"

#ifdef __AVX2__

#include "heap/slot_line_avx2.h"
#include "unit/heap_slot_shape.h"

int main(void)
{
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2")) {
        skip_program("unit.heap_slot_shape_avx2", "this processor has no AVX2");
    }
    return shaped_run();
}

#else

int main(void)
{
    skip_program("unit.heap_slot_shape_avx2", "the build has no AVX2");
}

#endif
