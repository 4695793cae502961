/* SPDX-License-Identifier: ISC */
/* keyd's command line: see options.h. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "key.h"
#include "say.h"
#include "server.h"

enum { DEFAULT_THREADS = 4, DEFAULT_TIMEOUT_S = 5, TIMEOUT_MAX_S = 3600 };

static const char help[] =
    "Usage: keyd --keys DIR --socket PATH [option ...]\n"
    "       keyd --keys DIR --make NAME\n"
    "A signing agent: holds Ed25519 keys in secure memory and signs for its clients (keyd-sign).\n"
    "\n"
    "  --keys DIR      the keys: a file of 32 bytes of seed each, mode 0600, named as its key\n"
    "  --make NAME     make this key if it is not there; may be given 16 times\n"
    "  --socket PATH   where to serve; without it keyd makes keys and ends\n"
    "  --threads N     clients served at the same time, 1 to 64 (4)\n"
    "  --timeout S     seconds for a client to send a request and take the reply (5)\n"
    "  --daemon        go to the background; ends with 0 when the socket listens\n"
    "  --user NAME     as root: become this user, who must own the keys and be able to write "
    "where\n"
    "                  the socket and the pid file are\n"
    "  --pid-file PATH write the process's id there\n"
    "  --help          this text\n"
    "\n"
    "Signals: SIGHUP reads the keys again and wipes those whose file is gone. SIGUSR1 wipes all\n"
    "secrets at once; requests to sign are refused until SIGHUP. SIGTERM and SIGINT end keyd.\n"
    "\n"
    "Exit status: 0 ended by a signal, or made the keys; 1 the system refused something; 2 usage;\n"
    "3 the keys' directory or one of its files; 4 no memory that can be locked (ulimit -l);\n"
    "5 the socket or the pid file.\n";

static _Noreturn void misuse(const char *what, const char *value)
{
    say("%s%s%s; try --help", what, value == NULL ? "" : ": ", value == NULL ? "" : value);
    exit(KEYD_EXIT_USAGE);
}

static long number(const char *text, long min, long max, const char *what)
{
    char *end = NULL;

    errno = 0;
    const long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min || value > max) {
        misuse(what, text);
    }
    return value;
}

static void add_key(struct options *options, const char *name)
{
    if (!key_is_name(name)) {
        misuse("--make: not a name for a key", name);
    }
    if (options->make_count == OPTIONS_MAKE_MAX) {
        misuse("--make: more than 16", NULL);
    }
    options->make[options->make_count++] = name;
}

static void take(struct options *options, int letter)
{
    switch (letter) {
    case 's':
        options->socket = optarg;
        break;
    case 'k':
        options->keys = optarg;
        break;
    case 'm':
        add_key(options, optarg);
        break;
    case 'u':
        options->user = optarg;
        break;
    case 'p':
        options->pid_file = optarg;
        break;
    case 't':
        options->threads = (size_t)number(optarg, 1, SERVER_THREADS_MAX, "--threads");
        break;
    case 'w':
        options->timeout_ms = (int)number(optarg, 1, TIMEOUT_MAX_S, "--timeout") * 1000;
        break;
    case 'd':
        options->is_daemon = true;
        break;
    case 'h':
        (void)fputs(help, stdout);
        exit(KEYD_EXIT_OK);
    default:
        exit(KEYD_EXIT_USAGE); /* getopt_long has said why */
    }
}

/* A daemon leaves the folder it was started in. */
static void check_path(const struct options *options, const char *path)
{
    if (options->is_daemon && path != NULL && path[0] != '/') {
        misuse("--daemon needs absolute paths", path);
    }
}

void options_parse(struct options *options, int count, char **words)
{
    static const struct option table[] = {
        {"socket", required_argument, NULL, 's'},  {"keys", required_argument, NULL, 'k'},
        {"make", required_argument, NULL, 'm'},    {"user", required_argument, NULL, 'u'},
        {"threads", required_argument, NULL, 't'}, {"pid-file", required_argument, NULL, 'p'},
        {"timeout", required_argument, NULL, 'w'}, {"daemon", no_argument, NULL, 'd'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    int letter = 0;

    *options = (struct options){.threads = DEFAULT_THREADS, .timeout_ms = DEFAULT_TIMEOUT_S * 1000};
    while ((letter = getopt_long(count, words, "", table, NULL)) != -1) {
        take(options, letter);
    }
    if (optind < count) {
        misuse("what is this", words[optind]);
    }
    if (options->keys == NULL || (options->socket == NULL && options->make_count == 0)) {
        misuse("--keys and one of --socket and --make are needed", NULL);
    }
    check_path(options, options->keys);
    check_path(options, options->socket);
    check_path(options, options->pid_file);
}
