/* SPDX-License-Identifier: ISC */
/* Each option, from the struct and from the environment. */
#include "api/options.h"

int main(int count, char **arguments)
{
    options_started_again(count, arguments);
    const int failed = options_init() + options_environment() + options_report();
    return failed > 0;
}
