/* SPDX-License-Identifier: ISC */
/*
 * One line to whoever watches: stderr, and after say_to_syslog the system log. Never give it a
 * secret: what is formatted passes through memory that nobody wipes.
 */
#ifndef KEYD_SAY_H
#define KEYD_SAY_H

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A daemon has no stderr. */
void say_to_syslog(void);

#endif
