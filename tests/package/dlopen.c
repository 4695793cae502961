/* SPDX-License-Identifier: ISC */
/*
 * A plug-in may bring the library in and be unloaded while threads still have magazines: their exit
 * then runs our code, which -z nodelete keeps in place.
 *
 * argv[1]: the shared library. This program must not be linked to it.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 2, BUFFERS = 64, SIZE = 48 };

typedef void *allocate_function(size_t size);
typedef void free_function(void *ptr);

static struct {
    allocate_function *allocate;
    free_function *free;
    pthread_barrier_t allocated;
    pthread_barrier_t closed;
} shared;

static void *use(void *unused)
{
    void *buffers[BUFFERS];
    for (int i = 0; i < BUFFERS; i++) {
        buffers[i] = shared.allocate(SIZE);
        if (buffers[i] == NULL) {
            perror("secure_malloc");
            exit(EXIT_FAILURE);
        }
        memset(buffers[i], i, SIZE);
    }
    for (int i = 0; i < BUFFERS; i++) {
        shared.free(buffers[i]);
    }
    pthread_barrier_wait(&shared.allocated);
    pthread_barrier_wait(&shared.closed);
    return unused;
}

static void *find(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (found == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(EXIT_FAILURE);
    }
    return found;
}

int main(int argc, char **argv)
{
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (library == NULL) {
        fprintf(stderr, "%s\n", argc == 2 ? dlerror() : "usage: dlopen LIBRARY");
        return EXIT_FAILURE;
    }
    /* POSIX's way around ISO C, which has no cast from void * to a function. */
    *(void **)&shared.allocate = find(library, "secure_malloc");
    *(void **)&shared.free = find(library, "secure_free");
    pthread_barrier_init(&shared.allocated, NULL, THREADS + 1);
    pthread_barrier_init(&shared.closed, NULL, THREADS + 1);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, use, NULL) != 0) {
            return EXIT_FAILURE;
        }
    }
    pthread_barrier_wait(&shared.allocated);
    dlclose(library);
    pthread_barrier_wait(&shared.closed);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    return EXIT_SUCCESS;
}
