/* SPDX-License-Identifier: ISC */
/* The parts of api.options. */
#ifndef SECURE_MALLOC_TESTS_API_OPTIONS_H
#define SECURE_MALLOC_TESTS_API_OPTIONS_H

/* Each runs its tests, and returns how many failed. */
int options_init(void);
int options_environment(void);
int options_report(void);

/* In the program that options_environment starts: ends it if that is what it is. */
void options_started_again(int count, char **arguments);

#endif
