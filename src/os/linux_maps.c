/* SPDX-License-Identifier: ISC */
/*
 * What the kernel says of the process's mappings. Read with read(2) into a small buffer: stdio
 * calls malloc.
 *
 * The files are those of the thread: the process's own are empty once its main thread has ended.
 */
#include <errno.h>
#include <string.h>

#include "os/linux_calls.h"
#include "os/os.h"

struct reader {
    int file;
    size_t used;
    size_t at;
    char line[256]; /* the line read last; what does not fit, of a long path, is dropped */
    char block[2048];
};

static int open_proc(const char *of_thread, const char *of_process)
{
    long file = call_open(of_thread);
    return (int)(file == -ENOENT ? call_open(of_process) : file);
}

/* 1: there is a line; 0: the end; or -errno. */
static int read_line(struct reader *reader)
{
    size_t length = 0;
    for (;;) {
        if (reader->at == reader->used) {
            long got = call_read(reader->file, reader->block, sizeof(reader->block));
            if (got == -EINTR) {
                continue;
            }
            if (got <= 0) {
                return (int)got;
            }
            reader->used = (size_t)got;
            reader->at = 0;
        }
        char byte = reader->block[reader->at++];
        if (byte == '\n') {
            reader->line[length] = '\0';
            return 1;
        }
        if (length < sizeof(reader->line) - 1) {
            reader->line[length++] = byte;
        }
    }
}

/* Reads a number and leaves *text behind it; false if there is none. */
static bool parse_number(const char **text, unsigned base, uint64_t *number)
{
    const char *at = *text;
    uint64_t value = 0;
    for (;; at++) {
        const char byte = *at;
        unsigned digit = base;
        if (byte >= '0' && byte <= '9') {
            digit = (unsigned)(byte - '0');
        } else if (byte >= 'a' && byte <= 'f') {
            digit = (unsigned)(byte - 'a') + 10;
        }
        if (digit >= base) {
            break;
        }
        value = value * base + digit;
    }
    const bool any = at != *text;
    *text = at;
    *number = value;
    return any;
}

static bool skip_past(const char **text, char byte)
{
    const char *found = strchr(*text, byte);
    *text = found != NULL ? found + 1 : *text;
    return found != NULL;
}

/* "5581c000-5581d000 rw-p 00000000 00:00 0    [heap]". The other lines of smaps have no '-' there.
 */
static bool parse_mapping(const char *line, struct os_mapping *mapping)
{
    uint64_t start = 0;
    uint64_t end = 0;
    uint64_t inode = 0;
    if (!parse_number(&line, 16, &start) || *line++ != '-' || !parse_number(&line, 16, &end) ||
        *line++ != ' ') {
        return false;
    }
    const char *access = line;
    const bool whole = skip_past(&line, ' ') && skip_past(&line, ' ') && skip_past(&line, ' ') &&
                       parse_number(&line, 10, &inode);
    *mapping = (struct os_mapping){
        .start = (uintptr_t)start,
        .end = (uintptr_t)end,
        .readable = whole && access[0] == 'r',
        .writable = whole && access[1] == 'w',
        .shared = whole && access[3] == 's',
        .anonymous = whole && inode == 0,
        .dumpable = true,
    };
    return true;
}

/* Two letters each: "rd wr mr mw me lo lf dd". Kernels before 6.12 or so print "??" for lf. */
static void parse_flags(const char *flags, struct os_mapping *mapping)
{
    for (; flags[0] != '\0' && flags[1] != '\0'; flags += flags[2] == ' ' ? 3 : 2) {
        const char *const flag = flags;
        if (memcmp(flag, "lo", 2) == 0) {
            mapping->locked = true;
        } else if (memcmp(flag, "lf", 2) == 0 || memcmp(flag, "??", 2) == 0) {
            mapping->lock_on_fault = true;
        } else if (memcmp(flag, "dd", 2) == 0) {
            mapping->dumpable = false;
        } else if (memcmp(flag, "mg", 2) == 0) {
            mapping->mergeable = true;
        }
    }
}

static const char *value_of(const char *line, const char *name)
{
    const size_t length = strlen(name);
    if (strncmp(line, name, length) != 0) {
        return NULL;
    }
    return line + length + strspn(line + length, " ");
}

static void parse_field(const char *line, struct os_mapping *mapping)
{
    const char *value = NULL;
    if ((value = value_of(line, "Rss:")) != NULL) {
        (void)parse_number(&value, 10, &mapping->resident);
        mapping->resident *= 1024;
    } else if ((value = value_of(line, "Swap:")) != NULL) {
        (void)parse_number(&value, 10, &mapping->swapped);
        mapping->swapped *= 1024;
    } else if ((value = value_of(line, "VmFlags:")) != NULL) {
        parse_flags(value, mapping);
    }
}

/* A mapping is complete when the next one begins. */
static int visit_lines(struct reader *reader, os_mapping_visit *visit, void *context)
{
    struct os_mapping mapping = {0};
    bool is_in_mapping = false;
    int more = 0;
    while ((more = read_line(reader)) > 0) {
        struct os_mapping next;
        if (!parse_mapping(reader->line, &next)) {
            parse_field(reader->line, &mapping);
            continue;
        }
        int stop = is_in_mapping ? visit(&mapping, context) : 0;
        if (stop != 0) {
            return stop;
        }
        mapping = next;
        is_in_mapping = true;
    }
    if (more < 0) {
        return more;
    }
    return is_in_mapping ? visit(&mapping, context) : 0;
}

int os_mappings_visit(os_mapping_visit *visit, void *context)
{
    struct reader reader = {0};
    reader.file = open_proc("/proc/thread-self/smaps", "/proc/self/smaps");
    if (reader.file < 0) {
        return reader.file;
    }
    int result = visit_lines(&reader, visit, context);
    call_close(reader.file);
    return result;
}

struct overlap {
    uintptr_t start;
    uintptr_t end;
    os_mapping_visit *visit;
    void *context;
    int result;
};

/* Stops when it is past the range, and keeps what the visit said. */
static int visit_overlap(const struct os_mapping *mapping, void *context)
{
    struct overlap *range = context;
    if (mapping->end <= range->start) {
        return 0;
    }
    if (mapping->start >= range->end) {
        return 1;
    }
    range->result = range->visit(mapping, range->context);
    return range->result;
}

/* -ENOTTY, or whatever a sandbox answers: this kernel cannot be asked so. */
static int query_mappings(int file, struct overlap *range, bool *can_be_asked)
{
    uintptr_t at = range->start;
    *can_be_asked = true;
    while (at < range->end) {
        struct procmap_query query = {.query_flags = PROCMAP_COVERING_OR_NEXT, .query_addr = at};
        long error = call_procmap_query(file, &query);
        if (error == -ENOENT) {
            return 0; /* none at or behind this address */
        }
        if (error != 0) {
            *can_be_asked = false;
            range->start = at; /* what was visited is not visited again */
            return 0;
        }
        const struct os_mapping mapping = {
            .start = (uintptr_t)query.vma_start,
            .end = (uintptr_t)query.vma_end,
            .readable = (query.vma_flags & PROCMAP_READABLE) != 0,
            .writable = (query.vma_flags & PROCMAP_WRITABLE) != 0,
            .shared = (query.vma_flags & PROCMAP_SHARED) != 0,
            .anonymous = query.inode == 0,
        };
        if (visit_overlap(&mapping, range) != 0) {
            return range->result;
        }
        at = mapping.end;
    }
    return 0;
}

int os_mappings_visit_range(const void *start, size_t size, os_mapping_visit *visit, void *context)
{
    struct overlap range = {
        .start = (uintptr_t)start,
        .end = (uintptr_t)start + size,
        .visit = visit,
        .context = context,
    };
    struct reader reader = {0};
    reader.file = open_proc("/proc/thread-self/maps", "/proc/self/maps");
    if (reader.file < 0) {
        return reader.file;
    }
    bool can_be_asked = false;
    int result = query_mappings(reader.file, &range, &can_be_asked);
    if (!can_be_asked) {
        result = visit_lines(&reader, visit_overlap, &range);
        result = result < 0 && range.result == 0 ? result : range.result;
    }
    call_close(reader.file);
    return result;
}
