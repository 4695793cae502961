/* SPDX-License-Identifier: ISC */
/* Random numbers for tests that compare the code with a simple model: the same at each run, and
 * named if the test fails, also by abort. */
#ifndef SECURE_MALLOC_TESTS_UNIT_MODEL_H
#define SECURE_MALLOC_TESTS_UNIT_MODEL_H

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

struct model {
    uint64_t seed;
    uint64_t state;
    volatile unsigned long step;
};

static struct model model;

static inline void model_tell(int signal_number)
{
    char text[96];
    int length = snprintf(text, sizeof(text), "model: seed %lu, step %lu\n",
                          (unsigned long)model.seed, model.step);
    (void)signal_number;
    if (model.seed != 0 && write(STDERR_FILENO, text, (size_t)length) != length) {
        return;
    }
    model.seed = 0;
}

static inline void model_begin(uint64_t seed)
{
    model.seed = seed;
    model.state = seed * UINT64_C(0x9e3779b97f4a7c15);
    model.step = 0;
    signal(SIGABRT, model_tell);
}

static inline void model_end(void)
{
    model.seed = 0;
}

/* For cmocka_unit_test_teardown: a model that did not end has failed. */
static inline int model_teardown(void **state)
{
    (void)state;
    model_tell(0);
    return 0;
}

/* Evenly enough in [0, bound). */
static inline uint32_t model_below(uint32_t bound)
{
    model.state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = model.state;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(((mixed ^ (mixed >> 31)) >> 32) * bound >> 32);
}

#endif
