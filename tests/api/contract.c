/* SPDX-License-Identifier: ISC */
/* Every function of the public header does what the header says. */
#include "api/contract.h"

int main(void)
{
    const int failed = contract_allocate() + contract_guarded() + contract_ask();
    return failed > 0;
}
