/* SPDX-License-Identifier: ISC */
/* Policy, and what is done to the heap as a whole. */
#include <errno.h>

#include "api/state.h"

#define TEXT_OF(number)                   #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

SECURE_MALLOC_API const char *secure_malloc_version(void)
{
    return VERSION_TEXT(SECURE_MALLOC_VERSION_MAJOR, SECURE_MALLOC_VERSION_MINOR,
                        SECURE_MALLOC_VERSION_PATCH);
}

SECURE_MALLOC_API int secure_init(const struct secure_options *options)
{
    int error = state_init(options);
    return error == 0 ? 0 : fail(error);
}

SECURE_MALLOC_API int secure_lock_process(void)
{
    int error = state_lock_process();
    return error == 0 ? 0 : fail(error);
}

static bool is_ready(void)
{
    return atomic_load_explicit(&state.ready, memory_order_acquire);
}

SECURE_MALLOC_API size_t secure_purge(void)
{
    return is_ready() ? heap_purge(&state.heap) : 0;
}

SECURE_MALLOC_API size_t secure_trim(void)
{
    return is_ready() ? heap_trim(&state.heap) : 0;
}

SECURE_MALLOC_API void secure_zeroize(void)
{
    int saved = errno;
    if (is_ready()) {
        heap_zeroize(&state.heap);
    }
    errno = saved;
}

/* ---- the caller's own memory ---- */

struct survey {
    uintptr_t next; /* the first byte that no mapping was seen for */
    uintptr_t end;
};

/* Private, anonymous, readable and writable, without a hole: on shared memory the kernel would say
 * yes, keep the data, and let it swap. */
static int survey_mapping(const struct os_mapping *mapping, void *context)
{
    struct survey *survey = context;
    bool plain = mapping->anonymous && !mapping->shared && mapping->readable && mapping->writable;
    if (mapping->start > survey->next || !plain) {
        return -EINVAL;
    }
    survey->next = mapping->end;
    return 0;
}

static int check_own_pages(const void *addr, size_t size)
{
    uintptr_t start = (uintptr_t)addr;
    size_t page = os_page_size();
    if (start % page != 0 || size % page != 0 || start + size < start ||
        pages_overlap(&state.heap.pages, start, start + size)) {
        return -EINVAL;
    }
    struct survey survey = {start, start + size};
    int error = os_mappings_visit_range(addr, size, survey_mapping, &survey);
    return error != 0 || survey.next < survey.end ? -EINVAL : 0;
}

SECURE_MALLOC_API int secure_release_pages(void *addr, size_t size)
{
    int error = state_ready();
    if (error == 0) {
        error = check_own_pages(addr, size);
    }
    if (error == 0 && size > 0) {
        struct pages *pages = &state.heap.pages;
        mutex_lock(&pages->purge_mutex);
        error = os_caller_pages_release(&pages->purger, addr, size);
        mutex_unlock(&pages->purge_mutex);
    }
    return error == 0 ? 0 : fail(error);
}
