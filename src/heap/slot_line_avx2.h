/* SPDX-License-Identifier: ISC */
/* heap/slot_line.h for processors with AVX2: a line is one register, and one instruction asks
 * whether it is zero. Has its include guard, to stand in for it. */
#ifndef SECURE_MALLOC_HEAP_SLOT_LINE_H
#define SECURE_MALLOC_HEAP_SLOT_LINE_H

#include <immintrin.h>

#include "heap/slot_line_type.h"

INLINE void line_wipe(char *at)
{
    *(slot_line *)(void *)at = (slot_line){0};
    __asm__ volatile("" : : : "memory"); /* as wipe_one_block */
}

/* The empty asm keeps gcc from regrouping a row of these, which takes more loads and registers. */
INLINE void line_or(slot_line *seen, const char *at)
{
    *seen |= *line_in(at);
    __asm__("" : "+x"(*seen));
}

INLINE bool block_is_zero(wipe_block block)
{
    return _mm_testz_si128((__m128i)block, (__m128i)block) != 0;
}

INLINE bool line_is_zero(const slot_line *line, wipe_block block)
{
    __m256i all = _mm256_or_si256((__m256i)*line, _mm256_zextsi128_si256((__m128i)block));
    return _mm256_testz_si256(all, all) != 0;
}

#endif
