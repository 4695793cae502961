/* SPDX-License-Identifier: ISC */
#include "policy/options.h"

#include <errno.h>
#include <string.h>

/* What the environment may do to an option. */
enum rule {
    TUNE,      /* anything */
    RAISE,     /* to a later value of its list: each protects more than those before it */
    LOWER,     /* to an earlier one */
    LESS,      /* to a smaller size, where 0 is no limit */
    HANDS_OFF, /* nothing */
};

enum { VALUES_MAX = 3 };

struct option {
    const char *name;
    size_t offset;
    const char *values[VALUES_MAX]; /* by number; none: a size, which is 64 bits wide */
    enum rule rule;
};

#define AT(field) offsetof(struct secure_options, field)

static const struct option table[] = {
    {"lock", AT(lock), {"range", "process"}, RAISE},
    {"on_lock_failure", AT(on_lock_failure), {"fail", "best-effort"}, LOWER},
    {"on_fork", AT(on_fork), {"keep", "wipe", "drop"}, RAISE},
    {"canary", AT(canary), {"off", "on"}, HANDS_OFF},
    {"check_free", AT(check_free), {"off", "on"}, HANDS_OFF},
    {"stats", AT(stats), {"off", "exit"}, TUNE},
    {"purge_limit", AT(purge_limit), {NULL}, TUNE},
    {"lock_limit", AT(lock_limit), {NULL}, LESS},
    {"reserve", AT(reserve), {NULL}, TUNE},
};

enum { OPTION_COUNT = sizeof(table) / sizeof(table[0]) };

/* Where the struct of version 0.1.0 ended. */
static const size_t FIRST_SIZE = AT(report_context) + sizeof(void *);

/* A piece of the environment's text, which has no NUL at its end. */
struct piece {
    const char *text;
    size_t size;
};

static bool is_size(const struct option *option)
{
    return option->values[0] == NULL;
}

static uint64_t get(const struct secure_options *options, const struct option *option)
{
    const char *field = (const char *)options + option->offset;
    uint32_t choice = 0;
    uint64_t size = 0;
    if (is_size(option)) {
        memcpy(&size, field, sizeof(size));
        return size;
    }
    memcpy(&choice, field, sizeof(choice));
    return choice;
}

static void set(struct secure_options *options, const struct option *option, uint64_t value)
{
    char *field = (char *)options + option->offset;
    uint32_t choice = (uint32_t)value;
    if (is_size(option)) {
        memcpy(field, &value, sizeof(value));
    } else {
        memcpy(field, &choice, sizeof(choice));
    }
}

static bool is_valid(const struct option *option, uint64_t value)
{
    return is_size(option) || (value < VALUES_MAX && option->values[value] != NULL);
}

void options_default(struct secure_options *options)
{
    *options = (struct secure_options)SECURE_OPTIONS_INIT;
}

int options_copy(struct secure_options *options, const struct secure_options *from)
{
    size_t size = from->struct_size;
    if (size < FIRST_SIZE) {
        return -EINVAL;
    }
    options_default(options);
    memcpy(options, from, size < sizeof(*options) ? size : sizeof(*options));
    options->struct_size = sizeof(*options);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (!is_valid(&table[i], get(options, &table[i]))) {
            return -EINVAL;
        }
    }
    return 0;
}

bool options_same(const struct secure_options *a, const struct secure_options *b)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (get(a, &table[i]) != get(b, &table[i])) {
            return false;
        }
    }
    return a->report == b->report && a->report_context == b->report_context;
}

static bool is_text(struct piece piece, const char *text)
{
    return piece.text != NULL && strlen(text) == piece.size &&
           memcmp(piece.text, text, piece.size) == 0;
}

static const struct option *find(struct piece name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (is_text(name, table[i].name)) {
            return &table[i];
        }
    }
    return NULL;
}

/* The power of two that a suffix stands for; 0 if it is none. */
static int shift_of(char suffix)
{
    switch (suffix) {
    case 'k':
    case 'K':
        return 10;
    case 'm':
    case 'M':
        return 20;
    case 'g':
    case 'G':
        return 30;
    default:
        return 0;
    }
}

static bool parse_size(struct piece text, uint64_t *value)
{
    const int shift = text.size > 0 ? shift_of(text.text[text.size - 1]) : 0;
    text.size -= shift > 0;
    uint64_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.text[i] < '0' || text.text[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(text.text[i] - '0');
        if (size > (UINT64_MAX - digit) / 10) {
            return false;
        }
        size = size * 10 + digit;
    }
    *value = size << shift;
    return text.size > 0 && *value >> shift == size;
}

static bool parse_value(const struct option *option, struct piece text, uint64_t *value)
{
    if (is_size(option)) {
        return parse_size(text, value);
    }
    for (uint64_t i = 0; i < VALUES_MAX && option->values[i] != NULL; i++) {
        if (is_text(text, option->values[i])) {
            *value = i;
            return true;
        }
    }
    return false;
}

static bool may_change(const struct option *option, uint64_t from, uint64_t to)
{
    switch (option->rule) {
    case TUNE:
        return true;
    case RAISE:
        return to >= from;
    case LOWER:
        return to <= from;
    case LESS:
        return to == from || (to != 0 && (from == 0 || to < from));
    default:
        return false;
    }
}

/* Applies one entry. The reason why not, or NULL. */
static const char *apply(struct secure_options *options, struct piece entry)
{
    const char *equals = memchr(entry.text, '=', entry.size);
    if (equals == NULL) {
        return "not of the form name=value";
    }
    const struct piece name = {entry.text, (size_t)(equals - entry.text)};
    const struct piece text = {equals + 1, entry.size - name.size - 1};
    const struct option *option = find(name);
    uint64_t value = 0;
    if (option == NULL) {
        return "no such option";
    }
    if (option->rule == HANDS_OFF) {
        return "only the program may set this";
    }
    if (!parse_value(option, text, &value)) {
        return "not a value of this option";
    }
    if (!may_change(option, get(options, option), value)) {
        return "the environment may not loosen what the program chose";
    }
    set(options, option, value);
    return NULL;
}

void options_read(struct secure_options *options, const char *text, options_ignored *ignored,
                  void *context)
{
    for (;;) {
        const struct piece entry = {text, strcspn(text, ",")};
        const char *reason = entry.size > 0 ? apply(options, entry) : NULL;
        if (reason != NULL) {
            ignored(entry.text, entry.size, reason, context);
        }
        if (text[entry.size] == '\0') {
            return;
        }
        text += entry.size + 1;
    }
}

const char *options_value_name(const char *option, uint32_t value)
{
    const struct option *found = find((struct piece){option, strlen(option)});
    bool is_named = found != NULL && !is_size(found) && is_valid(found, value);
    return is_named ? found->values[value] : "?";
}
