/* rotate, as a pipeline uses it: against the emulator, with a failure or a kill at every step, and run again after it.
   What must hold throughout: whoever holds the old secret, or what the tool printed last, holds one that works.
   Needs build/hathora-tokens and build/hathora-emulator. */
#include "harness.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEV_TOKEN  "rotate-dev-token"
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const char *const *server_words(struct live_server *server, const char *token,
                                       const char *const *words)
{
    static const char *argv[40];
    size_t count = 0;
    argv[count++] = live_tool();
    argv[count++] = "--endpoint";
    argv[count++] = server->url;
    argv[count++] = "--org";
    argv[count++] = "org-1";
    argv[count++] = "--ca-file";
    argv[count++] = live_certificate("ca.pem");
    argv[count++] = "--token";
    argv[count++] = token;
    while (*words) {
        argv[count++] = *words++;
    }
    argv[count] = NULL;
    return argv;
}

static struct live_process *start(struct live_server *server, const char *token, const char *const *words,
                                  const char *output_path)
{
    struct live_command command;
    memset(&command, 0, sizeof command);
    command.argv = server_words(server, token, words);
    command.output_path = output_path;
    return live_start(&command);
}

static struct live_process *run(struct live_server *server, const char *const *words)
{
    struct live_process *p = start(server, DEV_TOKEN, words, NULL);
    live_end(p);
    return p;
}

/* The last line of what it printed, without its end: a secret. */
static void secret_of(const struct live_process *p, char *secret, size_t size)
{
    assert_int_equal(live_count(&p->out, "\n"), 1);
    assert_true(strncmp(p->out.ptr, "hathora_org_st_", 15) == 0);
    snprintf(secret, size, "%.*s", (int)strcspn(p->out.ptr, "\n"), p->out.ptr);
}

static void create(struct live_server *server, const char *name, const char *scope, char *secret, size_t size)
{
    struct live_process *p = run(server, WORDS("create", "--name", name, "--scope", scope));
    assert_int_equal(p->status, 0);
    secret_of(p, secret, size);
}

/* Whether a token opens the organization, by what a list with it answers; its scopes may not allow the list itself. */
static bool works(struct live_server *server, const char *secret)
{
    struct live_process *p = start(server, secret, WORDS("list", "-ojson"), NULL);
    live_end(p);
    return p->status == 0 || live_contains(&p->err, "lacks the scope");
}

static const char *names(struct live_server *server, const char *status)
{
    struct live_process *p = run(server, WORDS("list", "-onameValue", "--status", status));
    assert_int_equal(p->status, 0);
    return p->out.ptr;
}

static void successor_takes_over_name_scopes_and_duty(void **state)
{
    struct live_server *server = live_start_emulator(DEV_TOKEN, NULL);
    char old[128], new[128];
    struct live_process *p;
    (void)state;
    create(server, "ci", "tokens:read", old, sizeof old);
    p = run(server, WORDS("rotate", "--name", "ci"));
    assert_int_equal(p->status, 0);
    assert_string_equal(p->err.ptr, "");
    secret_of(p, new, sizeof new);
    assert_false(works(server, old));
    assert_true(works(server, new));
    assert_string_equal(names(server, "active"), "ci-rot2\n");
    assert_string_equal(run(server, WORDS("list", "-oscopesValue", "--status", "active"))->out.ptr,
                        "tokens:read\n");
    /* By the old name or by the present one. */
    p = run(server, WORDS("-v", "rotate", "--name", "ci"));
    assert_int_equal(p->status, 0);
    assert_false(live_contains(&p->err, "hathora_org_st_"));
    p = run(server, WORDS("rotate", "--name", "ci-rot3", "-ojson"));
    assert_int_equal(p->status, 0);
    assert_true(strncmp(p->out.ptr, "{\"plainTextToken\":\"hathora_org_st_", 34) == 0);
    assert_true(live_contains(&p->out, "\"name\":\"ci-rot4\""));
    assert_string_equal(names(server, "active"), "ci-rot4\n");
    assert_string_equal(names(server, "revoked"), "ci\nci-rot2\nci-rot3\n");
}

static void successor_that_may_not_list_is_verified_by_the_callers_list(void **state)
{
    struct live_server *server = live_start_emulator(DEV_TOKEN, NULL);
    char old[128], new[128];
    (void)state;
    create(server, "ci", "builds:read", old, sizeof old);
    secret_of(run(server, WORDS("rotate", "--name", "ci")), new, sizeof new);
    assert_false(works(server, old));
    assert_true(works(server, new));
}

static void scopes_are_kept_or_as_told_but_never_grow_by_themselves(void **state)
{
    struct live_server *server = live_start_emulator(DEV_TOKEN, NULL);
    (void)state;
    assert_int_equal(run(server, WORDS("create", "--name", "all"))->status, 0);
    assert_int_equal(
        run(server, WORDS("create", "--name", "two", "--scope", "builds:read", "--scope", "fleets:read"))
            ->status,
        0);
    assert_int_equal(run(server, WORDS("rotate", "--name", "all"))->status, 0);
    assert_int_equal(run(server, WORDS("rotate", "--name", "two"))->status, 0);
    assert_string_equal(run(server, WORDS("list", "-oscopesValue", "--status", "active"))->out.ptr,
                        "admin\nbuilds:read,fleets:read\n");
    assert_int_equal(run(server, WORDS("rotate", "--name", "two", "--scope", "builds:read"))->status, 0);
    assert_string_equal(run(server, WORDS("list", "-oscopesValue", "--name", "two-rot3"))->out.ptr,
                        "builds:read\n");
}

static void dry_run_and_unknown_names_change_nothing(void **state)
{
    struct live_server *server = live_start_emulator(DEV_TOKEN, NULL);
    struct live_process *p;
    char old[128], long_name[65];
    (void)state;
    create(server, "ci", "builds:read", old, sizeof old);
    p = run(server, WORDS("rotate", "--name", "ci", "--dry-run"));
    assert_int_equal(p->status, 0);
    assert_true(strncmp(p->out.ptr,
                        "would create ci-rot2 with the scopes builds:read\nwould revoke org-token-",
                        72) == 0);
    p = run(server, WORDS("rotate", "--name", "ci", "--dry-run", "-ojson"));
    assert_true(live_contains(&p->out, "{\"tokens\":[{"));
    p = run(server, WORDS("rotate", "--name", "other"));
    assert_int_equal(p->status, 2);
    assert_true(live_contains(&p->err, "no active token of the organization has the name other"));
    /* No place for the ending. */
    memset(long_name, 'x', 64);
    long_name[64] = '\0';
    assert_int_equal(run(server, WORDS("create", "--name", long_name))->status, 0);
    p = run(server, WORDS("rotate", "--name", long_name));
    assert_int_equal(p->status, 2);
    assert_true(live_contains(&p->err, "longer than 64 characters"));
    assert_int_equal(live_count(&run(server, WORDS("list", "-onameValue"))->out, "\n"), 2);
}

static void only_the_endings_of_generations_belong_to_a_family(void **state)
{
    static const char *const strangers[] = {"ci-rot", "ci-rot1", "ci-rot02", "ci-rot2x", "ci-rotx",
                                            "ci-ro",  "cix",     "xci",      "ci-rot0",  "ci-rot99999999999"};
    struct live_server *server = live_start_emulator(DEV_TOKEN, NULL);
    size_t i;
    (void)state;
    for (i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        assert_int_equal(run(server, WORDS("create", "--name", strangers[i]))->status, 0);
    }
    assert_int_equal(run(server, WORDS("rotate", "--name", "ci"))->status, 2);
    assert_int_equal(run(server, WORDS("create", "--name", "ci"))->status, 0);
    assert_int_equal(run(server, WORDS("rotate", "--name", "ci"))->status, 0);
    assert_string_equal(names(server, "revoked"), "ci\n");
}

/* A pipeline may rotate the very token that it holds: its own goes last, with the right to revoke still there. */
static void own_token_is_revoked_last(void **state)
{
    struct live_server *server = live_start_emulator(DEV_TOKEN, NULL);
    char own[128], new[128];
    struct live_process *p;
    (void)state;
    create(server, "ci", "tokens:read-write", own, sizeof own);
    /* A leftover of a run that failed: younger than the caller's own. */
    assert_int_equal(
        run(server, WORDS("create", "--name", "ci-rot2", "--scope", "tokens:read-write"))->status, 0);
    p = start(server, own, WORDS("rotate", "--name", "ci"), NULL);
    live_end(p);
    assert_int_equal(p->status, 0);
    secret_of(p, new, sizeof new);
    assert_false(works(server, own));
    assert_string_equal(names(server, "active"), "ci-rot3\n");
    p = start(server, new, WORDS("rotate", "--name", "ci"), NULL);
    live_end(p);
    assert_int_equal(p->status, 0);
    assert_string_equal(names(server, "active"), "ci-rot4\n");
}

/* An emulator with a first fault that does nothing, then the second one for ever; the state outlives it. */
static struct live_server *start_faulty(const char *first, const char *second)
{
    const char *more[] = {"--state", live_path("state"), "--fault", first, "--fault", second, NULL};
    return live_start_emulator(DEV_TOKEN, more);
}

/* After any failure: the old secret or what was printed works; one more run leaves exactly one that works. */
static void check_and_run_again(struct live_server *server, const char *old,
                                const struct live_process *failed)
{
    const char *more[] = {"--state", live_path("state"), NULL};
    char printed[128] = "", new[128];
    struct live_process *p;
    live_signal(server->process, SIGTERM);
    live_end(server->process);
    server = live_start_emulator(DEV_TOKEN, more);
    if (failed->out.len != 0) {
        secret_of(failed, printed, sizeof printed);
    }
    if (!works(server, old) && (printed[0] == '\0' || !works(server, printed))) {
        fail_msg("no secret works after: %s", failed->err.ptr);
    }
    p = run(server, WORDS("rotate", "--name", "ci"));
    if (p->status != 0) {
        fail_msg("the second run: exit %d: %s", p->status, p->err.ptr);
    }
    secret_of(p, new, sizeof new);
    assert_true(works(server, new));
    assert_false(works(server, old));
    assert_false(printed[0] != '\0' && works(server, printed));
    assert_int_equal(live_count(&run(server, WORDS("list", "-onameValue", "--status", "active"))->out, "\n"),
                     1);
}

/* The plan, the creation, the verification and the revocation: what goes well before, and what the fault is for. */
static const char *const steps[][2] = {{"op=create,delay=0", "op=list"},
                                       {"op=create,delay=0", "op=create"},
                                       {"op=list,delay=0", "op=list"},
                                       {"op=create,delay=0", "op=revoke"}};
enum { STEPS = sizeof steps / sizeof steps[0] };

static void any_fault_at_any_step_leaves_a_secret_that_works(void **state)
{
    static const char *const faults[] = {
        "status=500", "status=401", "status=429",      "reset", "cut=0",  "cut=100",  "garbage",
        "bad-chunk",  "empty",      "wrong-length=-3", "skip",  "body=x", "type=a/b", "wrong-length"};
    size_t step, i;
    for (step = 0; step < STEPS; step++) {
        for (i = 0; i < sizeof faults / sizeof faults[0]; i++) {
            struct live_server *server;
            struct live_process *p;
            char old[128], spec[64];
            snprintf(spec, sizeof spec, "%s,%s,count=0", steps[step][1], faults[i]);
            server = start_faulty(steps[step][0], spec);
            create(server, "ci", "tokens:read-write", old, sizeof old);
            p = run(server, WORDS("rotate", "--name", "ci"));
            if (p->status == 0) {
                fail_msg("%s went unnoticed", spec);
            }
            assert_int_equal(live_count(&p->err, "\n"), 1);
            assert_false(live_contains(&p->err, "hathora_org_st_"));
            if (step < 2) {
                assert_string_equal(p->out.ptr, "");
            }
            check_and_run_again(server, old, p);
            live_teardown(state);
        }
    }
}

/* Killed while it waits for the answer of each step, which the server has carried out. */
static void kill_at_any_step_leaves_a_secret_that_works(void **state)
{
    static const char *const requests[STEPS] = {"GET ", "/create", "GET ", "/revoke"};
    size_t step;
    for (step = 0; step < STEPS; step++) {
        struct live_server *server;
        struct live_process *p;
        char old[128], spec[64];
        size_t at;
        snprintf(spec, sizeof spec, "%s,delay=60000,count=0", steps[step][1]);
        server = start_faulty(steps[step][0], spec);
        create(server, "ci", "tokens:read-write", old, sizeof old);
        p = start(server, DEV_TOKEN, WORDS("-v", "rotate", "--name", "ci"), NULL);
        if (step >= 2) {
            live_await_output(p, "\n", 0);
        }
        at = live_await_error(p, requests[step], 0);
        if (step == 2) {
            live_await_error(p, requests[step], at + 1);
        }
        while (step == 1 && !live_contains(&run(server, WORDS("list"))->out, "ci-rot2")) {}
        while (step == 3 && !live_contains(&run(server, WORDS("list"))->out, "revoked")) {}
        live_kill(p);
        check_and_run_again(server, old, p);
        live_teardown(state);
    }
}

/* The secret is lost for certain, so the successor is taken back and the old token stays as it was. */
static void successor_that_cannot_be_written_is_revoked_again(void **state)
{
    struct live_server *server = live_start_emulator(DEV_TOKEN, NULL);
    struct live_process *p;
    char old[128];
    (void)state;
    create(server, "ci", "tokens:read", old, sizeof old);
    p = start(server, DEV_TOKEN, WORDS("rotate", "--name", "ci"), "/dev/full");
    live_end(p);
    assert_int_equal(p->status, 8);
    assert_true(live_contains(&p->err, "the successor was revoked again"));
    assert_string_equal(names(server, "active"), "ci\n");
    assert_string_equal(names(server, "revoked"), "ci-rot2\n");
    assert_true(works(server, old));
    assert_int_equal(run(server, WORDS("rotate", "--name", "ci"))->status, 0);
    assert_string_equal(names(server, "active"), "ci-rot3\n");
}

static void failure_says_what_stands_and_what_to_do(void **state)
{
    static const struct {
        const char *fault, *text;
    } cases[] = {{"op=list,status=500,count=0", "status 500"},
                 {"op=create,status=429,count=0", "nothing was changed"},
                 {"op=create,cut=0,count=0", "ci-rot2 may exist now, nothing was revoked: run this again"},
                 {"op=revoke,reset,count=0",
                  "ci-rot2 was handed out and verified: keep it; to revoke ci, revoke org-token-"}};
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct live_server *server = start_faulty("op=create,delay=0", cases[i].fault);
        struct live_process *p;
        char old[128];
        create(server, "ci", "tokens:read", old, sizeof old);
        p = run(server, WORDS("rotate", "--name", "ci"));
        assert_true(p->status > 2);
        if (!live_contains(&p->err, cases[i].text)) {
            fail_msg("%s: %s", cases[i].fault, p->err.ptr);
        }
        live_teardown(state);
    }
}

static void revoke_by_name_revokes_the_one_token_of_that_name(void **state)
{
    struct live_server *server = live_start_emulator(DEV_TOKEN, NULL);
    struct live_process *p;
    (void)state;
    assert_int_equal(run(server, WORDS("create", "--name", "ci"))->status, 0);
    assert_int_equal(run(server, WORDS("create", "--name", "ci-2"))->status, 0);
    p = run(server, WORDS("revoke", "--name", "ci*"));
    assert_int_equal(p->status, 2);
    assert_true(live_contains(&p->err, "no token of the organization has the name ci*"));
    p = run(server, WORDS("revoke", "--name", "ci", "--dry-run"));
    assert_int_equal(p->status, 0);
    assert_true(live_contains(&p->out, " would be revoked: ci\n"));
    assert_string_equal(names(server, "active"), "ci\nci-2\n");
    p = run(server, WORDS("revoke", "--name", "ci"));
    assert_int_equal(p->status, 0);
    assert_true(live_contains(&p->out, " revoked\n"));
    assert_string_equal(names(server, "active"), "ci-2\n");
    assert_string_equal(run(server, WORDS("revoke", "--name", "ci", "-ojson"))->out.ptr, "false\n");
    p = run(server, WORDS("revoke", "--name", "ci", "--dry-run"));
    assert_int_equal(p->status, 1);
    assert_true(live_contains(&p->out, " would not be revoked: it is already\n"));
    p = run(server, WORDS("revoke", "org-token-none", "--dry-run"));
    assert_int_equal(p->status, 2);
    assert_true(live_contains(&p->err, "org-token-none: the organization has no such token"));
}

#define TEST(name) cmocka_unit_test_teardown(name, live_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(successor_takes_over_name_scopes_and_duty),
        TEST(successor_that_may_not_list_is_verified_by_the_callers_list),
        TEST(scopes_are_kept_or_as_told_but_never_grow_by_themselves),
        TEST(dry_run_and_unknown_names_change_nothing),
        TEST(only_the_endings_of_generations_belong_to_a_family),
        TEST(own_token_is_revoked_last),
        TEST(any_fault_at_any_step_leaves_a_secret_that_works),
        TEST(kill_at_any_step_leaves_a_secret_that_works),
        TEST(successor_that_cannot_be_written_is_revoked_again),
        TEST(failure_says_what_stands_and_what_to_do),
        TEST(revoke_by_name_revokes_the_one_token_of_that_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
