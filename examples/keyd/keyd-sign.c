/* SPDX-License-Identifier: ISC */
/*
 * keyd-sign: asks a keyd for its keys, for a signature, or for the public key to check one with.
 * Holds no secret, so it is an ordinary program: stdio, malloc, argv.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

enum {
    EXIT_OK = 0,
    EXIT_SYSTEM = 1,
    EXIT_USAGE = 2,
    EXIT_AGENT = 3,
    EXIT_NO_KEY = 4,
    EXIT_ZEROIZED = 5,
    EXIT_WRONG = 6
};

struct options {
    const char *socket;
    const char *key;
    const char *verify; /* a signature in hex */
    const char *file;   /* "-": stdin */
    bool is_list;
};

static const char help[] =
    "Usage: keyd-sign --socket PATH --key NAME [FILE]\n"
    "       keyd-sign --socket PATH --key NAME --verify SIGNATURE [FILE]\n"
    "       keyd-sign --socket PATH --list\n"
    "Has keyd sign FILE (stdin without one, or if it is -; at most 1 MiB), and prints the\n"
    "signature in hex.\n"
    "\n"
    "  --socket PATH       where keyd serves\n"
    "  --key NAME          the key to use\n"
    "  --verify SIGNATURE  check this signature of FILE instead, with the public key that keyd\n"
    "                      names; prints OK\n"
    "  --list              print each key's name and public key instead\n"
    "  --help              this text\n"
    "\n"
    "Exit status: 0 done; 1 the system refused something; 2 usage; 3 keyd does not answer, or not\n"
    "as it should; 4 keyd has no such key; 5 keyd has wiped its secrets; 6 the signature is "
    "wrong.\n";

static int fail(int status, const char *what, const char *why)
{
    (void)fprintf(stderr, "keyd-sign: %s: %s\n", what, why);
    return status;
}

/* What the agent's answer, or its failure to give one, means for us. */
static int explain(const struct options *options, int status)
{
    static const char *const texts[] = {
        [KEYD_BAD_REQUEST] = "keyd takes it for a bad request",
        [KEYD_TOO_LARGE] = "larger than 1 MiB",
        [KEYD_FAILED] = "keyd could not sign",
    };

    if (status < 0) {
        return fail(EXIT_AGENT, options->socket, strerror(-status));
    }
    if (status == KEYD_NO_SUCH_KEY) {
        return fail(EXIT_NO_KEY, options->key, "keyd has no such key");
    }
    if (status == KEYD_ZEROIZED) {
        return fail(EXIT_ZEROIZED, options->key, "keyd has wiped its secrets");
    }
    const bool is_known = (size_t)status < sizeof texts / sizeof texts[0] && texts[status] != NULL;
    return fail(EXIT_AGENT, options->socket, is_known ? texts[status] : "unknown status");
}

static void print_hex(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        (void)printf("%02x", bytes[i]);
    }
    (void)printf("\n");
}

static int list(struct client *client, const struct options *options)
{
    char name[KEYD_NAME_MAX + 1];
    unsigned char public_key[KEYD_PUBLIC_KEY_SIZE];
    size_t at = 0;

    const int status = client_list(client);
    if (status != KEYD_OK) {
        return explain(options, status);
    }
    int more = 0;
    while ((more = client_next(client, &at, name, public_key)) > 0) {
        (void)printf("%s ", name);
        print_hex(public_key, sizeof public_key);
    }
    return more < 0 ? explain(options, more) : EXIT_OK;
}

/* Reads the message, but never more than one byte over the limit. 0 or -errno. */
static int read_message(const char *path, unsigned char *message, size_t *size)
{
    const int file = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return -errno;
    }
    ssize_t got = 0;
    *size = 0;
    do {
        got = read(file, message + *size, KEYD_MESSAGE_MAX + 1 - *size);
        *size += got > 0 ? (size_t)got : 0;
    } while (got > 0 || (got < 0 && errno == EINTR));
    const int error = got < 0 ? -errno : 0;
    if (file != STDIN_FILENO) {
        (void)close(file);
    }
    return error != 0 ? error : *size > KEYD_MESSAGE_MAX ? -EFBIG : 0;
}

static int sign(struct client *client, const struct options *options, const unsigned char *message,
                size_t size)
{
    unsigned char signature[KEYD_SIGNATURE_SIZE];

    const int status = client_sign(client, options->key, message, size, signature);
    if (status != KEYD_OK) {
        return explain(options, status);
    }
    print_hex(signature, sizeof signature);
    return EXIT_OK;
}

static int verify(struct client *client, const struct options *options,
                  const unsigned char *message, size_t size)
{
    unsigned char signature[KEYD_SIGNATURE_SIZE];
    unsigned char public_key[KEYD_PUBLIC_KEY_SIZE];
    size_t length = 0;

    if (sodium_hex2bin(signature, sizeof signature, options->verify, strlen(options->verify), NULL,
                       &length, NULL) != 0 ||
        length != sizeof signature) {
        return fail(EXIT_USAGE, "--verify", "not a signature: 128 hex digits are one");
    }
    const int status = client_find(client, options->key, public_key);
    if (status != KEYD_OK) {
        return explain(options, status);
    }
    if (crypto_sign_verify_detached(signature, message, size, public_key) != 0) {
        return fail(EXIT_WRONG, options->key, "the signature is wrong");
    }
    (void)printf("OK\n");
    return EXIT_OK;
}

static int run(const struct options *options, struct client *client, unsigned char *message)
{
    size_t size = 0;

    if (!options->is_list) {
        const int error = read_message(options->file, message, &size);
        if (error != 0) {
            return fail(EXIT_SYSTEM, options->file, strerror(-error));
        }
    }
    const int error = client_connect(client, options->socket);
    if (error != 0) {
        return fail(EXIT_AGENT, options->socket, strerror(-error));
    }
    int status = EXIT_OK;
    if (options->is_list) {
        status = list(client, options);
    } else if (options->verify != NULL) {
        status = verify(client, options, message, size);
    } else {
        status = sign(client, options, message, size);
    }
    client_close(client);
    if (fflush(stdout) != 0) {
        return fail(EXIT_SYSTEM, "stdout", strerror(errno));
    }
    return status;
}

static void parse(struct options *options, int count, char **words)
{
    static const struct option table[] = {
        {"socket", required_argument, NULL, 's'}, {"key", required_argument, NULL, 'k'},
        {"verify", required_argument, NULL, 'v'}, {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int letter = 0;

    *options = (struct options){.file = "-"};
    while ((letter = getopt_long(count, words, "", table, NULL)) != -1) {
        if (letter == 's') {
            options->socket = optarg;
        } else if (letter == 'k') {
            options->key = optarg;
        } else if (letter == 'v') {
            options->verify = optarg;
        } else if (letter == 'l') {
            options->is_list = true;
        } else if (letter == 'h') {
            (void)fputs(help, stdout);
            exit(EXIT_OK);
        } else {
            exit(EXIT_USAGE); /* getopt_long has said why */
        }
    }
    if (optind < count) {
        options->file = words[optind++];
    }
    if (optind < count || options->socket == NULL || (options->key == NULL) == !options->is_list) {
        exit(fail(EXIT_USAGE, "usage", "--socket and one of --key and --list; try --help"));
    }
}

int main(int count, char **words)
{
    struct options options;

    parse(&options, count, words);
    if (sodium_init() < 0) {
        return fail(EXIT_SYSTEM, "libsodium", "cannot start");
    }
    struct client *client = calloc(1, sizeof *client);
    unsigned char *message = malloc(KEYD_MESSAGE_MAX + 1);
    int status = EXIT_SYSTEM;
    if (client == NULL || message == NULL) {
        status = fail(EXIT_SYSTEM, "memory", strerror(ENOMEM));
    } else {
        status = run(&options, client, message);
    }
    free(message);
    free(client);
    return status;
}
