/* SPDX-License-Identifier: ISC */
/*
 * secure_malloc: malloc and free for secrets.
 *
 * Memory from these functions is zero when you get it, locked in RAM while you have it, wiped when
 * you free it in a way that the compiler keeps, left out of core files, never merged with another
 * process's pages, and, as the options say, kept from forked children. Overflows, double frees and
 * writes after free that are found (see Reports) end the process with one line that names the
 * fault. Pages that become empty go back to the kernel.
 *
 *     unsigned char *key = secure_malloc(32);
 *     if (key == NULL)
 *         return -1;         // errno: ENOMEM, or EPERM where locking is forbidden
 *     ...
 *     secure_free(key);      // checked, wiped, then reused or given back
 *
 * There is nothing to initialise and nothing to shut down. Every function may be called from any
 * thread. secure_wipe, secure_equal, secure_owns and secure_zeroize may also be called from a
 * signal handler. Everything here has been present since version 0.1.0. The manual page is
 * secure_malloc(7).
 */
#ifndef SECURE_MALLOC_H
#define SECURE_MALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECURE_MALLOC_VERSION_MAJOR 0
#define SECURE_MALLOC_VERSION_MINOR 1
#define SECURE_MALLOC_VERSION_PATCH 0

/* Not __attribute__((malloc)): secure_zeroize, and a fork under SECURE_FORK_WIPE, change memory
 * that the compiler could otherwise take for its own. */
#if defined(__GNUC__)
#define SECURE_MALLOC_API             __attribute__((visibility("default")))
#define SECURE_MALLOC_ATTRIBUTES(...) __attribute__((__VA_ARGS__))
#else
#define SECURE_MALLOC_API
#define SECURE_MALLOC_ATTRIBUTES(...)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Allocate
 * --------
 * As the C standard's functions of these names, and: the memory is zero, locked, left out of core
 * files and aligned to 16 bytes. On failure NULL, errno is ENOMEM (no memory, or no lock budget
 * left: RLIMIT_MEMLOCK), EPERM (locking is forbidden here) or EINVAL (an alignment that is no power
 * of two), and nothing has changed. An allocation that cannot be locked fails, unless the program
 * chose SECURE_LOCK_BEST_EFFORT.
 */
/* A size of 0 gives a unique pointer that must be freed. */
SECURE_MALLOC_API void *secure_malloc(size_t size) SECURE_MALLOC_ATTRIBUTES(alloc_size(1));

/* count * size bytes; a product that overflows is ENOMEM. */
SECURE_MALLOC_API void *secure_calloc(size_t count, size_t size)
    SECURE_MALLOC_ATTRIBUTES(alloc_size(1, 2));

/*
 * Changes a buffer's size, in place where that is possible. Bytes that are left behind, at the old
 * place or behind the new end, are wiped; bytes that are new are zero. A NULL ptr allocates. A size
 * of 0 never frees: the result is a buffer of no bytes. On failure ptr is as it was. A guarded
 * buffer stays guarded; an alignment over 16 is not kept.
 */
SECURE_MALLOC_API void *secure_realloc(void *ptr, size_t size)
    SECURE_MALLOC_ATTRIBUTES(alloc_size(2));
SECURE_MALLOC_API void *secure_reallocarray(void *ptr, size_t count, size_t size)
    SECURE_MALLOC_ATTRIBUTES(alloc_size(2, 3));

/* alignment: any power of two. size need not be a multiple of it. */
SECURE_MALLOC_API void *secure_aligned_alloc(size_t alignment, size_t size)
    SECURE_MALLOC_ATTRIBUTES(alloc_align(1), alloc_size(2));

/* Copies of what the caller has. The caller's copy stays as it is: wipe it. strndup copies at most
 * max bytes. */
SECURE_MALLOC_API char *secure_strdup(const char *string) SECURE_MALLOC_ATTRIBUTES(nonnull);
SECURE_MALLOC_API char *secure_strndup(const char *string, size_t max)
    SECURE_MALLOC_ATTRIBUTES(nonnull);
SECURE_MALLOC_API void *secure_memdup(const void *data, size_t size)
    SECURE_MALLOC_ATTRIBUTES(alloc_size(2));

/*
 * Free
 * ----
 * Checks the buffer, wipes it and keeps errno as it was. NULL is fine. A pointer that is not the
 * start of a live buffer, and a buffer whose edges were written over, are fatal (see Reports
 * below). secure_free_sized is told the size that was asked for, as a cross-check: another one is
 * fatal.
 */
SECURE_MALLOC_API void secure_free(void *ptr);
SECURE_MALLOC_API void secure_free_sized(void *ptr, size_t size);

/*
 * Guarded buffers
 * ---------------
 * A buffer of its own pages, with inaccessible pages on both sides and its bytes flush against the
 * rear one (but for the alignment to 16), so that a long read or write faults at once. It costs at
 * least a page of lock budget and two of the kernel's mappings: for the few secrets that are worth
 * it, not for each of a million keys.
 */
SECURE_MALLOC_API void *secure_malloc_guarded(size_t size) SECURE_MALLOC_ATTRIBUTES(alloc_size(1));

enum secure_access { SECURE_NO_ACCESS, SECURE_READ_ONLY, SECURE_READ_WRITE };

/*
 * Sets how the program may touch a guarded buffer. 0, or -1 and errno: EINVAL (not a guarded
 * buffer, or no such access), ENOMEM (the kernel's limit on mappings); then nothing has changed.
 * secure_free and secure_realloc take a buffer in any state; secure_zeroize opens, wipes and closes
 * it.
 */
SECURE_MALLOC_API int secure_protect(void *ptr, enum secure_access access);

/*
 * Ask
 * ---
 */

/* Exactly the size that was asked for; 0 for NULL. A pointer that is not the start of a live buffer
 * is fatal. */
SECURE_MALLOC_API size_t secure_usable_size(const void *ptr);

/* Does this address lie in this library's memory? Any address may be asked about. Lock-free, never
 * faults. */
SECURE_MALLOC_API bool secure_owns(const void *ptr);

/*
 * Bytes
 * -----
 */

/* Overwrites with zeros, for any memory, in a way that the compiler keeps. */
SECURE_MALLOC_API void secure_wipe(void *ptr, size_t size);

/* Are the bytes the same? The time depends on size alone. */
SECURE_MALLOC_API bool secure_equal(const void *a, const void *b, size_t size);

/*
 * Reports
 * -------
 * Corruption and misuse that is found is always fatal: one line on stderr,
 *     secure_malloc: fatal: <what>: pointer 0x..., size N
 * and abort(). size is what was asked for (of a wrong size: what was said), or 0 where that is not
 * known. <what> is one of:
 *     double free        the buffer is free already
 *     invalid pointer    not the start of any buffer
 *     interior pointer   inside a buffer, but not its start
 *     wrong size         secure_free_sized was told another one
 *     buffer overflow    the bytes behind the buffer were changed; seen when it is freed or resized
 *     buffer underflow   so were those before a guarded one (others have a neighbour there)
 *     write after free   free memory was changed; seen when it is handed out again
 * A single byte of an even value from 128 on may happen to be what was there (1 in 64), and a write
 * after free is found in the first 1,024 bytes (and the last, of a large buffer) only; after a
 * buffer of up to 1,024 bytes that is all of it.
 *
 * A handler may be set in the options. It is called first, with no mutex held; when it returns, the
 * line is written and the process ends. It must not jump back into the program.
 */
struct secure_report {
    const char *what;
    const void *pointer;
    size_t size;
};

/*
 * Options
 * -------
 * All but canary, check_free and the handler may also be given by name in the environment, as
 * SECURE_MALLOC_OPTIONS="name=value,...", where sizes take k, M and G. The environment may tune and
 * tighten, never loosen: what it may not do is ignored, with a line on stderr.
 */
enum { SECURE_LOCK_RANGE, SECURE_LOCK_PROCESS };    /* lock: range, process */
enum { SECURE_LOCK_FAIL, SECURE_LOCK_BEST_EFFORT }; /* on_lock_failure: fail, best-effort */
enum { SECURE_FORK_KEEP, SECURE_FORK_WIPE, SECURE_FORK_DROP }; /* on_fork: keep, wipe, drop */
enum { SECURE_STATS_OFF, SECURE_STATS_EXIT };                  /* stats: off, exit */

#define SECURE_PURGE_DEFAULT UINT64_MAX

struct secure_options {
    size_t struct_size; /* SECURE_OPTIONS_INIT sets it, and every default */

    /* Lock what is used (mlock2), or the whole process as well (mlockall). */
    uint32_t lock;
    /* What cannot be locked fails; or is used unlocked, which is counted, and reported once. */
    uint32_t on_lock_failure;
    /* A child has the secrets, locked again; or sees zeros; or has no access to the memory. */
    uint32_t on_fork;
    /* 1: bytes around a buffer that were written to are a fault; 0: they are not. */
    uint32_t canary;
    /* 1: free memory that is not zero when it is handed out again is a fault; 0: it is not. */
    uint32_t check_free;
    /* SECURE_STATS_EXIT: a report on stderr at exit, without a secret or an address. */
    uint32_t stats;
    /* Bytes of free resident pages that are kept before they go back; 0: none. */
    uint64_t purge_limit;
    /* Most bytes to lock; 0: as many as RLIMIT_MEMLOCK allows. */
    uint64_t lock_limit;
    /* Bytes to lock in secure_init, which fails if it cannot. */
    uint64_t reserve;
    void (*report)(const struct secure_report *report, void *context);
    void *report_context;
};

/* clang-format off */
#define SECURE_OPTIONS_INIT { sizeof(struct secure_options), SECURE_LOCK_RANGE, SECURE_LOCK_FAIL, SECURE_FORK_KEEP, \
                              1, 1, SECURE_STATS_OFF, SECURE_PURGE_DEFAULT, 0, 0, NULL, NULL }
/* clang-format on */

/*
 * Policy and life
 * ---------------
 */

/*
 * Sets the options; NULL: the defaults. Not needed: the first allocation does it. 0, or -1 and
 * errno: EALREADY (after a first secure_init or allocation, and it would change something), EINVAL
 * (a bad value, or a struct_size smaller than version 0.1.0's), ENOMEM or EPERM (the process cannot
 * be locked, or reserve cannot).
 */
SECURE_MALLOC_API int secure_init(const struct secure_options *options);

/*
 * mlockall(MCL_CURRENT|MCL_FUTURE|MCL_ONFAULT): what the process touches, now and later, stays in
 * RAM. All or nothing: 0, or -1 and errno (ENOMEM, EPERM). Address space that this library only
 * reserves is left out.
 */
SECURE_MALLOC_API int secure_lock_process(void);

/* Gives the pages of all free memory back to the kernel now. Returns how many bytes that were. */
SECURE_MALLOC_API size_t secure_purge(void);

/* As secure_purge, and unlocks what nothing uses. Returns the bytes of lock budget that came back.
 */
SECURE_MALLOC_API size_t secure_trim(void);

/*
 * The same service for memory of the caller's own: gives its pages back and keeps its lock as it
 * is. The contents are lost: the memory reads zero. addr and size are multiples of the page size;
 * every mapping in the range is private, anonymous, readable and writable, and none of it came from
 * this library. 0, or -1 and errno: EINVAL (then nothing has changed), ENOMEM (the kernel's limit
 * on mappings: the pages were wiped and stay).
 */
SECURE_MALLOC_API int secure_release_pages(void *addr, size_t size);

/* Emergency: wipes every live secret now. Pointers stay valid, and read zero. Async-signal-safe. */
SECURE_MALLOC_API void secure_zeroize(void);

/*
 * See
 * ---
 * Both return 0, or -1 and errno: EINVAL (struct_size is smaller than version 0.1.0's);
 * secure_audit also what reading /proc/self/smaps gave. Before a first allocation all is 0.
 */
enum { SECURE_PURGE_LOCKED, SECURE_PURGE_BATCHED, SECURE_PURGE_FALLBACK }; /* purge_way */

struct secure_stats {
    size_t struct_size;       /* SECURE_STATS_INIT sets it */
    uint64_t live_count;      /* buffers that the program has */
    uint64_t live_bytes;      /* their sizes, as asked for */
    uint64_t cached_slots;    /* free, kept at hand for threads; large buffers' pages too */
    uint64_t free_slots;      /* free, the others */
    uint64_t all_slots;       /* the three together, when no other thread is inside */
    uint64_t locked_bytes;    /* what counts against RLIMIT_MEMLOCK */
    uint64_t unlocked_bytes;  /* in use unlocked: 0 but under SECURE_LOCK_BEST_EFFORT */
    uint64_t dirty_bytes;     /* free, wiped, still resident */
    uint64_t reserved_bytes;  /* address space, used or not */
    uint64_t purges;          /* batches of pages given back */
    uint64_t purged_bytes;    /* their bytes */
    uint64_t purge_failures;  /* ranges that the kernel would not take */
    uint64_t lock_failures;   /* refusals to lock, or to keep memory from core files or children */
    uint64_t relock_failures; /* refusals to lock again, after a purge or in a forked child */
    uint64_t forks;           /* forks that this heap went through */
    uint32_t purge_way;       /* SECURE_PURGE_...: how pages are given back on this kernel */
    uint32_t guards;          /* 1: each 32nd page of slabs is a guard (Linux 6.13); 0: none yet */
    uint32_t lock;            /* in force: SECURE_LOCK_RANGE or SECURE_LOCK_PROCESS */
    uint32_t on_lock_failure; /* in force: SECURE_LOCK_FAIL or SECURE_LOCK_BEST_EFFORT */
};

struct secure_audit {
    size_t struct_size;      /* SECURE_AUDIT_INIT sets it */
    uint64_t mappings;       /* the kernel's mappings that this library's memory takes */
    uint64_t locked_bytes;   /* of those, locked */
    uint64_t resident_bytes; /* of those, with a page of RAM */
    uint64_t swapped_bytes;  /* of those, in swap */

    /* Bytes of live buffers that lie where they should not. All is well: 0. */
    uint64_t unlocked_live_bytes;  /* in mappings that are not locked */
    uint64_t dumpable_live_bytes;  /* in mappings that a core file would hold */
    uint64_t mergeable_live_bytes; /* in mappings that KSM may merge */
};

/* clang-format off */
#define SECURE_STATS_INIT { sizeof(struct secure_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
#define SECURE_AUDIT_INIT { sizeof(struct secure_audit), 0, 0, 0, 0, 0, 0, 0 }
/* clang-format on */

/* This library's own counters. Cheap; exact when no other thread is inside the library. */
SECURE_MALLOC_API int secure_stats(struct secure_stats *stats);

/* What the kernel says of this library's memory: reads /proc/self/smaps. */
SECURE_MALLOC_API int secure_audit(struct secure_audit *audit);

/* The version of the library that is in use, "0.1.0"; the macros above are the version compiled
 * against. */
SECURE_MALLOC_API const char *secure_malloc_version(void);

#ifdef __cplusplus
}
#endif

#endif
