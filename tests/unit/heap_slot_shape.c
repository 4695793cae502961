/* SPDX-License-Identifier: ISC */
/* heap/slot_shape.h as every processor has it. */
#include "unit/heap_slot_shape.h"

int main(void)
{
    return shaped_run();
}
