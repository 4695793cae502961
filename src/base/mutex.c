/* SPDX-License-Identifier: ISC */
#include "base/mutex.h"

#include <errno.h>

#include "base/report.h"

void mutex_init(struct mutex *mutex)
{
    int error = pthread_mutex_init(&mutex->mutex, NULL);
    if (UNLIKELY(error != 0)) {
        report_unexpected("pthread_mutex_init", error);
    }
}

void mutex_lock(struct mutex *mutex)
{
    int error = pthread_mutex_lock(&mutex->mutex);
    if (UNLIKELY(error != 0)) {
        report_unexpected("pthread_mutex_lock", error);
    }
}

bool mutex_try_lock(struct mutex *mutex)
{
    int error = pthread_mutex_trylock(&mutex->mutex);
    if (UNLIKELY(error != 0 && error != EBUSY)) {
        report_unexpected("pthread_mutex_trylock", error);
    }
    return error == 0;
}

void mutex_unlock(struct mutex *mutex)
{
    int error = pthread_mutex_unlock(&mutex->mutex);
    if (UNLIKELY(error != 0)) {
        report_unexpected("pthread_mutex_unlock", error);
    }
}
