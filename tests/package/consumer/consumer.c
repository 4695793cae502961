/* SPDX-License-Identifier: ISC */
/* A program of somebody else's, as small as can be: it links, runs, and sees one version. */
#include <secure_malloc.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    char compiled_against[32];
    snprintf(compiled_against, sizeof(compiled_against), "%d.%d.%d", SECURE_MALLOC_VERSION_MAJOR,
             SECURE_MALLOC_VERSION_MINOR, SECURE_MALLOC_VERSION_PATCH);
    if (strcmp(compiled_against, secure_malloc_version()) != 0) {
        fprintf(stderr, "header %s, library %s\n", compiled_against, secure_malloc_version());
        return 1;
    }
    char *secret = secure_strdup("secret");
    if (secret == NULL) {
        perror("secure_strdup");
        return 1;
    }
    const int differs = strcmp(secret, "secret");
    secure_free(secret);
    return differs != 0;
}
