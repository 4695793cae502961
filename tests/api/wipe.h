/* SPDX-License-Identifier: ISC */
/* The parts of api.wipe. */
#ifndef SECURE_MALLOC_TESTS_API_WIPE_H
#define SECURE_MALLOC_TESTS_API_WIPE_H

void wipe_core_file_has_no_secret(void **state);

#endif
