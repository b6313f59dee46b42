/* The emulator under load by wrk: hundreds of TLS connections at once, creates and lists mixed, nothing lost.
   Needs build/hathora-tokens, build/hathora-emulator and wrk. */
#include "harness.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOKEN "load-test-token"

static struct live_process *run_words(const char *const *argv)
{
    struct live_command command;
    memset(&command, 0, sizeof command);
    command.argv = argv;
    return live_run(&command);
}

static void load_for(struct live_server *server, const char *duration)
{
    char url[64];
    const char *load[] = {
        "wrk", "-t2", "-c200", duration,      "--timeout", "60s", "-s", "tests/live/load.lua",
        url,   "--",  TOKEN,   live_folder(), duration,    NULL};
    struct live_process *wrk;
    snprintf(url, sizeof url, "https://127.0.0.1:%u", server->port);
    wrk = run_words(load);
    if (wrk->status != 0 ||
        !live_contains(&wrk->out, "errors connect=0 read=0 write=0 status=0 timeout=0\n") ||
        live_contains(&wrk->err, "status ")) {
        fail_msg("wrk: %d: %s%s", wrk->status, wrk->out.ptr, wrk->err.ptr);
    }
}

static void hundreds_of_connections_lose_nothing(void **state)
{
    const char *more[] = {"--state", live_path("state"), "--quiet", NULL};
    struct live_server *server = live_start_emulator(TOKEN, more);
    const char *list[] = {
        live_tool(), "--endpoint", server->url, "--ca-file", live_certificate("ca.pem"), "--org",
        "org-1",     "--token",    TOKEN,       "list",      "-oorgTokenIdValue",        NULL};
    static const char *const durations[] = {"-d2s", "-d6s", "-d20s"};
    const char *ids[] = {"sh", "-c", "cat \"$0\"/ids-*", live_folder(), NULL};
    struct live_process *held, *created = NULL;
    const char *line;
    size_t count = 0, runs = 0;
    (void)state;
    /* On a slow machine a short run ends in the handshakes. */
    while (runs < sizeof durations / sizeof durations[0] && count == 0) {
        load_for(server, durations[runs++]);
        created = run_words(ids);
        assert_int_equal(created->status, 0);
        count = live_count(&created->out, "\n");
    }
    assert_true(count > 0);
    held = run_words(list);
    assert_int_equal(held->status, 0);
    for (line = created->out.ptr; *line != '\0'; line = strchr(line, '\n') + 1) {
        char id[128];
        snprintf(id, sizeof id, "%.*s\n", (int)strcspn(line, "\n"), line);
        if (!live_contains(&held->out, id)) {
            fail_msg("lost %s", id);
        }
    }
    /* What was under way at the end of a run may be held without an answer: one for each connection. */
    assert_in_range(live_count(&held->out, "\n"), count, count + 200 * runs);
    live_signal(server->process, SIGTERM);
    live_end(server->process);
    assert_int_equal(server->process->status, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(hundreds_of_connections_lose_nothing, live_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
