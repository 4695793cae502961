/* SPDX-License-Identifier: ISC */
/* The mutex of the library: a pthread mutex whose failures are bugs of ours. */
#ifndef SECURE_MALLOC_BASE_MUTEX_H
#define SECURE_MALLOC_BASE_MUTEX_H

#include <pthread.h>
#include <stdbool.h>

struct mutex {
    pthread_mutex_t mutex;
};

#define MUTEX_INIT                                                                                 \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER                                                                  \
    }

void mutex_init(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
bool mutex_try_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

#endif
