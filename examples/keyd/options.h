/* SPDX-License-Identifier: ISC */
/* keyd's command line. */
#ifndef KEYD_OPTIONS_H
#define KEYD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* How keyd ends. --help prints the same list. */
enum keyd_exit {
    KEYD_EXIT_OK = 0,
    KEYD_EXIT_SYSTEM = 1,
    KEYD_EXIT_USAGE = 2,
    KEYD_EXIT_KEYS = 3,
    KEYD_EXIT_MEMORY = 4,
    KEYD_EXIT_SOCKET = 5
};

enum { OPTIONS_MAKE_MAX = 16 };

struct options {
    const char *socket;
    const char *keys;
    const char *user;     /* NULL: stay as we are */
    const char *pid_file; /* NULL: none */
    const char *make[OPTIONS_MAKE_MAX];
    size_t make_count;
    size_t threads;
    int timeout_ms;
    bool is_daemon;
};

/* Fills options, or ends the process: after --help, or with KEYD_EXIT_USAGE and a line on stderr.
 */
void options_parse(struct options *options, int count, char **words);

#endif
