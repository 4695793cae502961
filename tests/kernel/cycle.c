/* SPDX-License-Identifier: ISC */
/*
 * A whole life of the heap on another kernel: the first process of a machine that has nothing else.
 * For root, and for nobody under 64 KiB and 8 MiB of lock limit: a burst, a forked child, buffers
 * of all sizes, a purge and a trim; after each step the library's numbers must add up and agree
 * with what the kernel says. The arguments of the kernel's command line name what is to be
 * expected: way=2 (SECURE_PURGE_FALLBACK, before 5.18), way=0 and so on.
 */
#include <secure_malloc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BURST = 100000, SIZE = 64, NOBODY = 65534 };

static void *burst[BURST];

static void require(int condition, const char *what)
{
    if (!condition) {
        printf("FAIL: %s\n", what);
        fflush(stdout);
        _exit(1);
    }
}

static struct secure_stats look(const char *when)
{
    struct secure_stats stats = SECURE_STATS_INIT;
    struct secure_audit audit = SECURE_AUDIT_INIT;
    require(secure_stats(&stats) == 0 && secure_audit(&audit) == 0, "numbers can be read");
    printf("%-10s live %llu, locked %llu, resident %llu, dirty %llu, purged %llu\n", when,
           (unsigned long long)stats.live_count, (unsigned long long)stats.locked_bytes,
           (unsigned long long)audit.resident_bytes, (unsigned long long)stats.dirty_bytes,
           (unsigned long long)stats.purged_bytes);
    fflush(stdout);
    require(stats.live_count + stats.cached_slots + stats.free_slots == stats.all_slots,
            "live, cached and free slots are all slots");
    require(stats.locked_bytes == audit.locked_bytes, "what is locked is what smaps shows");
    require(audit.unlocked_live_bytes == 0, "no live byte is unlocked");
    require(audit.dumpable_live_bytes == 0, "no live byte is dumpable");
    require(audit.mergeable_live_bytes == 0, "no live byte is mergeable");
    require(stats.relock_failures == 0, "all locks came back");
    return stats;
}

static size_t allocate_burst(void)
{
    size_t count = 0;
    for (; count < BURST; count++) {
        burst[count] = secure_malloc(SIZE);
        if (burst[count] == NULL) {
            break;
        }
        memset(burst[count], 0x5a, SIZE);
    }
    return count;
}

static void check_child(void)
{
    pid_t child = fork();
    int status = 0;
    if (child == 0) {
        char *own = secure_malloc(100);
        require(own != NULL, "a child allocates");
        (void)look("child");
        secure_free(own);
        _exit(0);
    }
    require(waitpid(child, &status, 0) == child && status == 0, "the child ends well");
}

/* Until the limit says no: then nothing more is tried, and nothing must be lost. */
static void use_all_sizes(void)
{
    for (size_t size = 0; size < 100000; size += 1 + size / 7) {
        char *buffer = secure_malloc(size);
        if (buffer == NULL) {
            return;
        }
        memset(buffer, 7, size);
        char *grown = secure_realloc(buffer, size * 2);
        secure_free(grown != NULL ? grown : buffer);
        char *guarded = secure_malloc_guarded(size);
        if (guarded == NULL) {
            return;
        }
        require(secure_protect(guarded, SECURE_NO_ACCESS) == 0, "a guarded buffer can be closed");
        secure_free(guarded);
    }
}

static void live(void)
{
    size_t count = allocate_burst();
    require(count >= 700, "the burst begins");
    struct secure_stats peak = look("peak");
    require(peak.locked_bytes >= count * SIZE, "all of it is locked");
    for (size_t i = 0; i < count; i++) {
        secure_free(burst[i]);
    }
    struct secure_stats after = look("freed");
    require(after.dirty_bytes <= 128 * 1024, "the pages go back unasked");
    require(after.locked_bytes == peak.locked_bytes, "and stay locked");
    check_child();
    use_all_sizes();
    check_child();
    (void)secure_purge();
    require(look("purged").dirty_bytes == 0, "a purge leaves nothing dirty");
    (void)secure_trim();
    require(look("trimmed").locked_bytes == 0, "a trim leaves nothing locked");
}

static void live_as(unsigned user, rlim_t limit)
{
    const struct rlimit memlock = {limit, limit};
    int status = 0;
    printf("--- user %u, lock limit %llu\n", user, (unsigned long long)limit);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        require(setrlimit(RLIMIT_MEMLOCK, &memlock) == 0, "the limit can be set");
        require(setgid(user) == 0 && setuid(user) == 0, "the user can be changed");
        live();
        _exit(0);
    }
    require(waitpid(child, &status, 0) == child && status == 0, "a life ends well");
}

static void check_way(void)
{
    const char *wanted = getenv("way"); /* the kernel hands name=value on as environment */
    struct secure_stats stats = SECURE_STATS_INIT;
    secure_free(secure_malloc(1));
    require(secure_stats(&stats) == 0, "numbers can be read");
    printf("purge_way %u, guards %u\n", stats.purge_way, stats.guards);
    require(wanted == NULL || (unsigned long)stats.purge_way == strtoul(wanted, NULL, 10),
            "pages go back the expected way");
}

int main(void)
{
    (void)mkdir("/proc", 0755);
    require(mount("proc", "/proc", "proc", 0, NULL) == 0, "/proc can be mounted");
    live_as(0, RLIM_INFINITY);
    live_as(NOBODY, 64 * 1024);
    live_as(NOBODY, 8 * 1024 * 1024);
    check_way();
    puts("KERNEL TEST DONE");
    fflush(stdout);
    return reboot(RB_POWER_OFF);
}
