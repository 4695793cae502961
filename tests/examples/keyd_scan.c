/* SPDX-License-Identifier: ISC */
/*
 * Are keyd's seeds nowhere but in secure buffers? Reads the whole memory of a running keyd at each
 * turn of its life: loaded, after signing, reloaded without a key, zeroized, and at its last step.
 *
 * usage: keyd_scan foreground|daemon KEYD KEYD-SIGN
 */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "agent.h"
#include "scan.h"
#include "scan_self.h"
#include "verdict.h"

enum expectation { HELD, GONE };

static struct scan_secret secrets[AGENT_KEYS];

/* One secret in one process: is it where it should be, and nowhere else? */
static void check(const char *when, const struct scan_target *target, size_t key,
                  enum expectation expectation)
{
    struct scan_hits hits;

    const int error = scan_memory(target, &secrets[key], &hits);
    if (error != 0) {
        verdict_fail(when, strerror(-error));
    }
    (void)printf("%-30s %-6s %4llu in secure memory, %llu outside (%llu KiB in %llu mappings)\n",
                 when, agent_keys[key], (unsigned long long)(hits.secure + hits.derived_secure),
                 (unsigned long long)hits.outside, (unsigned long long)hits.bytes / 1024,
                 (unsigned long long)hits.mappings);
    if (hits.outside > 0) {
        verdict_fail(when, "a secret lies outside of secure memory");
    }
    if (expectation == HELD && hits.secure < secrets[key].plain) {
        verdict_fail(when, "the scanner does not find the secret that is there");
    }
    if (expectation == GONE && hits.secure + hits.derived_secure > 0) {
        verdict_fail(when, "a secret is still there");
    }
}

static void check_all(const char *when, const struct scan_target *target,
                      enum expectation expectation)
{
    for (size_t key = 0; key < AGENT_KEYS; key++) {
        check(when, target, key, expectation);
    }
}

/* Waits for the last step of the process that was started, looks, and wants exit status 0. */
static void check_end(const char *when, struct traced *traced)
{
    if (traced_wait_end(traced) != 0) {
        verdict_fail(when, "it did not stop at its end");
    }
    agent_learn_key(AGENT_MADE, &secrets[AGENT_MADE]);
    check_all(when, &traced->target, GONE);
    const int status = agent_finish();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        verdict_fail(when, "it did not end with 0");
    }
}

static void follow_foreground(void)
{
    struct traced *traced = agent_start(false);
    const struct scan_target *target = &traced->target;

    agent_await("start", NULL, AGENT_DONE);
    agent_learn_key(AGENT_MADE, &secrets[AGENT_MADE]);
    check_all("loaded", target, HELD);
    for (size_t key = 0; key < AGENT_KEYS; key++) {
        agent_sign("signing", agent_keys[key]);
    }
    check_all("after signing", target, HELD);

    agent_hide_key(1);
    (void)kill(traced->pid, SIGHUP);
    agent_await("reload without a key", agent_keys[1], AGENT_NO_KEY);
    check("reloaded without a key", target, 0, HELD);
    check("reloaded without a key", target, 1, GONE);
    agent_unhide_key(1);
    (void)kill(traced->pid, SIGHUP);
    agent_await("reload with the key", agent_keys[1], AGENT_DONE);
    check_all("reloaded with the key", target, HELD);

    (void)kill(traced->pid, SIGUSR1);
    agent_await("zeroize", agent_keys[0], AGENT_ZEROIZED);
    check_all("zeroized", target, GONE);
    (void)kill(traced->pid, SIGHUP);
    agent_await("reload", agent_keys[0], AGENT_DONE);
    agent_sign("signing again", agent_keys[AGENT_MADE]);
    check_all("reloaded", target, HELD);

    (void)kill(traced->pid, SIGTERM);
    check_end("at the last step", traced);
}

/* The process that was started must leave nothing behind; its child must have all of it locked. */
static void follow_daemon(void)
{
    struct scan_target child;

    check_end("the parent at its last step", agent_start(true));
    const pid_t pid = agent_read_pid();
    const int error = scan_open(&child, pid);
    if (error != 0) {
        (void)kill(pid, SIGTERM);
        agent_await("end", NULL, AGENT_UNREACHABLE);
        if (error == -EACCES || error == -EPERM) {
            verdict_skip("only root may read the memory of a daemon that forbids it");
        }
        verdict_fail("daemon", strerror(-error));
    }
    check_all("daemon, loaded", &child, HELD);
    agent_sign("daemon, signing", agent_keys[0]);
    check_all("daemon, after signing", &child, HELD);
    (void)kill(pid, SIGUSR1);
    agent_await("daemon, zeroize", agent_keys[0], AGENT_ZEROIZED);
    check_all("daemon, zeroized", &child, GONE);
    scan_close(&child);
    (void)kill(pid, SIGTERM);
    agent_await("daemon, end", NULL, AGENT_UNREACHABLE);
}

static bool is_instrumented(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    return false;
}

int main(int count, char **words)
{
    const bool is_daemon = count == 4 && strcmp(words[1], "daemon") == 0;

    if (count != 4 || sodium_init() < 0) {
        (void)fprintf(stderr, "usage: keyd_scan foreground|daemon KEYD KEYD-SIGN\n");
        return 2;
    }
    verdict_init(is_daemon ? "example.keyd-scan-daemon" : "example.keyd-scan", agent_clean_up);
    if (is_instrumented()) {
        verdict_skip("a sanitizer's shadow memory is too large to be read");
    }
    scan_self_test();
    agent_prepare(words[2], words[3]);
    agent_learn_key(0, &secrets[0]);
    agent_learn_key(1, &secrets[1]);
    if (is_daemon) {
        follow_daemon();
    } else {
        follow_foreground();
    }
    verdict_pass();
}
