/* SPDX-License-Identifier: ISC */
/* Pages as the heap would have them, new for each test of a file. */
#ifndef SECURE_MALLOC_TESTS_UNIT_FRESH_PAGES_H
#define SECURE_MALLOC_TESTS_UNIT_FRESH_PAGES_H

/* Before the variables, whose names are those of many parameters. */
#include "unit/layer.h"

static struct pages *pages;
static struct pages_config config;

static inline int fresh(void **state)
{
    (void)state;
    config = layer_pages_config();
    pages = layer_pages(&config);
    return 0;
}

static inline int end(void **state)
{
    (void)state;
    layer_end_pages(pages);
    return 0;
}

#endif
