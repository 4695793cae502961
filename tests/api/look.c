/* SPDX-License-Identifier: ISC */
#include "api/look.h"

#include <errno.h>
#include <fcntl.h>
#include <secure_malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/child.h"

struct lines {
    int file;
    size_t used, at;
    char block[4096];
    char line[512]; /* cut to fit: paths are long */
};

static void open_lines(struct lines *lines, const char *path)
{
    lines->file = open(path, O_RDONLY | O_CLOEXEC);
    lines->used = 0;
    lines->at = 0;
    CHECK(lines->file >= 0);
}

static bool next_line(struct lines *lines)
{
    size_t length = 0;
    for (;;) {
        if (lines->at == lines->used) {
            const ssize_t got = read(lines->file, lines->block, sizeof(lines->block));
            if (got <= 0) {
                close(lines->file);
                return false;
            }
            lines->used = (size_t)got;
            lines->at = 0;
        }
        const char byte = lines->block[lines->at++];
        if (byte == '\n') {
            lines->line[length] = '\0';
            return true;
        }
        if (length < sizeof(lines->line) - 1) {
            lines->line[length++] = byte;
        }
    }
}

static bool is_header(const char *line, struct mapping *mapping)
{
    char *rest = NULL;
    const unsigned long long start = strtoull(line, &rest, 16);
    if (rest == line || *rest != '-') {
        return false;
    }
    const unsigned long long end = strtoull(rest + 1, &rest, 16);
    *mapping = (struct mapping){.start = (uintptr_t)start, .end = (uintptr_t)end};
    mapping->is_dumpable = true;
    CHECK(*rest == ' ');
    memcpy(mapping->access, rest + 1, 4);
    return true;
}

static bool field_of(const char *line, const char *name, uint64_t *bytes)
{
    const size_t length = strlen(name);
    if (strncmp(line, name, length) != 0 || line[length] != ':') {
        return false;
    }
    *bytes = strtoull(line + length + 1, NULL, 10) * 1024;
    return true;
}

static bool has_flag(const char *flags, const char *flag)
{
    const char *found = strstr(flags, flag);
    return found != NULL && found[-1] == ' ' && (found[2] == ' ' || found[2] == '\0');
}

static void read_flags(const char *line, struct mapping *mapping)
{
    const char *flags = line + strlen("VmFlags:");
    mapping->is_locked = has_flag(flags, "lo");
    mapping->on_fault = has_flag(flags, "lf") || has_flag(flags, "??"); /* before 6.12 or so */
    mapping->is_dumpable = !has_flag(flags, "dd");
    mapping->is_mergeable = has_flag(flags, "mg");
    mapping->is_hugeless = has_flag(flags, "nh");
    mapping->wipes_on_fork = has_flag(flags, "wf");
    mapping->not_forked = has_flag(flags, "dc");
}

bool look_at_mappings(mapping_visit *visit, void *context)
{
    struct lines lines;
    struct mapping mapping = {0};
    struct mapping next;
    open_lines(&lines, "/proc/self/smaps");
    while (next_line(&lines)) {
        if (is_header(lines.line, &next)) {
            if (mapping.end != 0 && visit(&mapping, context)) {
                close(lines.file);
                return true;
            }
            mapping = next;
        } else if (strncmp(lines.line, "VmFlags:", strlen("VmFlags:")) == 0) {
            read_flags(lines.line, &mapping);
        } else {
            (void)(field_of(lines.line, "Rss", &mapping.resident) ||
                   field_of(lines.line, "Anonymous", &mapping.anonymous) ||
                   field_of(lines.line, "Locked", &mapping.locked) ||
                   field_of(lines.line, "AnonHugePages", &mapping.huge));
        }
    }
    return mapping.end != 0 && visit(&mapping, context);
}

static bool holds(const struct mapping *mapping, void *context)
{
    struct mapping *wanted = context;
    if (mapping->end <= wanted->start || mapping->start > wanted->start) {
        return false;
    }
    *wanted = *mapping;
    return true;
}

struct mapping look_at(const void *address)
{
    struct mapping mapping = {.start = (uintptr_t)address};
    CHECK(look_at_mappings(holds, &mapping));
    return mapping;
}

/* Nothing of ours is as large as the sanitizers' shadow, which would take minutes to ask about. */
static const uint64_t SHADOW_SIZE = UINT64_C(256) << 20;

static uint64_t owned_bytes(const struct mapping *mapping)
{
    uint64_t bytes = 0;
    if (SANITIZED && mapping->end - mapping->start >= SHADOW_SIZE) {
        return 0;
    }
    for (uintptr_t page = mapping->start; page < mapping->end; page += page_size()) {
        bytes += secure_owns((const void *)page) ? page_size() : 0;
    }
    return bytes;
}

static bool add_ours(const struct mapping *mapping, void *context)
{
    struct ours *ours = context;
    const uint64_t bytes = owned_bytes(mapping);
    if (bytes == 0) {
        return false;
    }
    const uint64_t open = mapping->access[0] == 'r' ? bytes : 0;
    ours->mappings++;
    ours->bytes += bytes;
    ours->locked_bytes += mapping->is_locked ? bytes : 0;
    ours->open_unlocked += mapping->is_locked ? 0 : open;
    ours->open_dumpable += mapping->is_dumpable ? open : 0;
    ours->open_mergeable += mapping->is_mergeable ? open : 0;
    ours->open_huge_allowed += mapping->is_hugeless ? 0 : open;
    ours->resident += mapping->resident;
    ours->resident_locked += mapping->locked;
    return false;
}

struct ours look_at_ours(void)
{
    struct ours ours = {0};
    (void)look_at_mappings(add_ours, &ours);
    return ours;
}

static bool add_anonymous(const struct mapping *mapping, void *context)
{
    uint64_t *anonymous = context;
    *anonymous += mapping->anonymous;
    return false;
}

uint64_t look_anonymous(void)
{
    uint64_t anonymous = 0;
    (void)look_at_mappings(add_anonymous, &anonymous);
    return anonymous;
}

size_t look_mappings(void)
{
    struct lines lines;
    size_t count = 0;
    open_lines(&lines, "/proc/self/maps");
    while (next_line(&lines)) {
        count++;
    }
    return count;
}

uint64_t look_status(const char *field)
{
    struct lines lines;
    uint64_t bytes = 0;
    open_lines(&lines, "/proc/self/status");
    while (next_line(&lines)) {
        if (field_of(lines.line, field, &bytes)) {
            close(lines.file);
            return bytes;
        }
    }
    child_check_failed("no such field in /proc/self/status", __FILE__, __LINE__);
}

size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}
