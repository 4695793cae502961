/* SPDX-License-Identifier: ISC */
/*
 * The options: what is valid, what a struct of another version means, and what the environment may
 * change. Pure: text in, numbers out. One table in options.c names them all.
 */
#ifndef SECURE_MALLOC_POLICY_OPTIONS_H
#define SECURE_MALLOC_POLICY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include <secure_malloc.h>

void options_default(struct secure_options *options);

/* Copies what both sides know of the caller's struct; what it does not have is the default.
 * -EINVAL: a struct_size below the first version's, or a value that is not one of its option's. */
int options_copy(struct secure_options *options, const struct secure_options *from);

/* Is there any difference? (struct_size aside.) */
bool options_same(const struct secure_options *a, const struct secure_options *b);

/* Called for each "name=value" of the environment that is ignored, with the reason in words. */
typedef void options_ignored(const char *entry, size_t size, const char *reason, void *context);

/*
 * Applies "name=value,name=value,..." to what the program chose. Tuning (purge_limit, reserve,
 * stats) is free; a protection may only be tightened: lock range -> process, on_lock_failure
 * best-effort -> fail, on_fork keep -> wipe -> drop, lock_limit to less; canary and check_free are
 * the program's choice alone. Sizes take k, M and G (1024, 1024^2, 1024^3), upper or lower case.
 * Empty entries are skipped.
 */
void options_read(struct secure_options *options, const char *text, options_ignored *ignored,
                  void *context);

/* The value's name, for the report at exit: "range", "best-effort", ... */
const char *options_value_name(const char *option, uint32_t value);

#endif
