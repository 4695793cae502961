/* SPDX-License-Identifier: ISC */
/* One line to stderr or the system log: see say.h. */
#include "say.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

enum { LINE_MAX_SIZE = 1024 };

static bool to_syslog; /* set once, while there is one thread */

void say_to_syslog(void)
{
    openlog("keyd", LOG_PID, LOG_DAEMON);
    to_syslog = true;
}

void say(const char *format, ...)
{
    char line[LINE_MAX_SIZE];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (to_syslog) {
        syslog(LOG_NOTICE, "%s", line);
    } else {
        (void)dprintf(STDERR_FILENO, "keyd: %s\n", line);
    }
}
