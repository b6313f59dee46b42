/* Runs every program of examples/ against the emulator. */
#define _XOPEN_SOURCE 700
#include "harness.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TOKEN "examples-test-token"

static char endpoint[128], trust[512];
static const char *token;

static int start_emulator(void **state)
{
    struct live_server *server = live_start_emulator(TOKEN, NULL);
    (void)state;
    token = "HATHORA_TOKEN=" TOKEN;
    snprintf(endpoint, sizeof endpoint, "HATHORA_CLOUD_ENDPOINT=%s", server->url);
    snprintf(trust, sizeof trust, "SSL_CERT_FILE=%s", live_certificate("ca.pem"));
    return 0;
}

/* The example with up to three arguments, the first NULL ending them. */
static struct live_process *run(const char *name, const char *first, const char *second, const char *third)
{
    const char *env[] = {"HATHORA_ORG_ID=org-1", token, endpoint, trust, NULL};
    const char *argv[5] = {NULL, first, second, third, NULL};
    const char *bin = getenv("HATHORA_BIN");
    struct live_command command;
    char path[256];
    snprintf(path, sizeof path, "%s/examples/%s", bin ? bin : "build", name);
    argv[0] = path;
    memset(&command, 0, sizeof command);
    command.argv = argv;
    command.env = env;
    return live_run(&command);
}

static struct live_process *run_well(const char *name, const char *first, const char *second)
{
    struct live_process *process = run(name, first, second, NULL);
    if (process->status != 0) {
        fail_msg("%s ended with %d: %s", name, process->status, process->err.ptr);
    }
    return process;
}

/* Some examples need more than the machine may have. */
static bool is_built(const char *name)
{
    const char *bin = getenv("HATHORA_BIN");
    char path[256];
    snprintf(path, sizeof path, "%s/examples/%s", bin ? bin : "build", name);
    return access(path, X_OK) == 0;
}

/* The id that create_token tells on standard error. */
static void create(const char *name, char *id, size_t size)
{
    static const char told[] = "created ";
    struct live_process *process = run_well("create_token", name, "tokens:read");
    assert_int_equal(live_count(&process->out, "\n"), 1);
    assert_true(process->out.len > 10);
    assert_true(strncmp(process->err.ptr, told, strlen(told)) == 0);
    snprintf(id, size, "%.*s", (int)strcspn(process->err.ptr + strlen(told), "\n"),
             process->err.ptr + strlen(told));
}

static void tokens_are_created_listed_and_revoked(void **state)
{
    char first[128], second[128], line[320];
    struct live_process *process;
    (void)state;
    create("first", first, sizeof first);
    create("second \x1b[31m", second, sizeof second);
    process = run_well("list_tokens", NULL, NULL);
    snprintf(line, sizeof line, "%s  active  first\n", first);
    assert_true(live_contains(&process->out, line));
    snprintf(line, sizeof line, "%s  active  second \\x1b[31m\n", second);
    assert_true(live_contains(&process->out, line));
    assert_true(live_contains(&process->out, "\n2 tokens\n"));
    process = run_well("revoke_token", first, second);
    snprintf(line, sizeof line, "revoked %s\nrevoked %s\n", first, second);
    assert_string_equal(process->out.ptr, line);
    process = run_well("list_tokens", NULL, NULL);
    assert_int_equal(live_count(&process->out, "  revoked  "), 2);
}

static void game_loop_draws_while_it_lists(void **state)
{
    struct live_process *process;
    char id[128];
    (void)state;
    create("seen from a game", id, sizeof id);
    process = run_well("game_loop", NULL, NULL);
    assert_true(strncmp(process->out.ptr, "1 tokens in ", 12) == 0);
    assert_true(live_contains(&process->out, "; the longest poll took "));
}

static void static_memory_lists_without_allocation(void **state)
{
    char id[128];
    (void)state;
    create("active one", id, sizeof id);
    assert_true(strncmp(run_well("static_memory", NULL, NULL)->out.ptr, "1 active tokens, ", 17) == 0);
}

static void collect_list_grows_and_sorts(void **state)
{
    struct live_process *process;
    char id[128], name[32];
    size_t at = 0;
    int i;
    (void)state;
    for (i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "number %02d", i);
        create(name, id, sizeof id);
    }
    process = run_well("collect_list", NULL, NULL);
    assert_int_equal(live_count(&process->out, "\n"), 40);
    while (at < process->out.len) {
        const char *line = process->out.ptr + at;
        at += strcspn(line, "\n") + 1;
        if (at < process->out.len) {
            assert_true(strncmp(line, process->out.ptr + at, 19) <= 0);
        }
    }
}

static void custom_transport_needs_no_network(void **state)
{
    (void)state;
    assert_string_equal(strchr(run_well("custom_transport", NULL, NULL)->out.ptr, '\n') + 1,
                        "token from a script\nclose\n");
}

static void bare_metal_needs_no_system(void **state)
{
    (void)state;
    assert_string_equal(run_well("bare_metal", NULL, NULL)->out.ptr, "active  board\nrevoked board\n");
}

static void lwip_loop_needs_no_system_but_lwip(void **state)
{
    (void)state;
    assert_string_equal(run_well("lwip_loop", NULL, NULL)->out.ptr, "created org-token-1\nlisted board\n");
}

/* The pin of a certificate, by the openssl program. */
static const char *pin_of(const char *name)
{
    static char pin[64];
    static const char script[] = "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform der |"
                                 " openssl dgst -sha256 -binary | openssl base64";
    const char *argv[] = {"sh", "-c", script, live_certificate(name), NULL};
    struct live_command command;
    struct live_process *process;
    memset(&command, 0, sizeof command);
    command.argv = argv;
    process = live_run(&command);
    assert_int_equal(process->status, 0);
    snprintf(pin, sizeof pin, "sha256/%.*s", (int)strcspn(process->out.ptr, "\n"), process->out.ptr);
    return pin;
}

static void pinned_key_takes_the_leaf_or_its_issuer(void **state)
{
    static const char spare[] = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    struct live_process *process;
    (void)state;
    run_well("pinned_key", pin_of("leaf.pem"), spare);
    run_well("pinned_key", spare, pin_of("ca.pem"));
    process = run("pinned_key", spare, pin_of("other-ca.pem"), NULL);
    assert_int_equal(process->status, 3);
    assert_string_equal(process->out.ptr, "");
}

static void compiled_in_anchors_trust_without_a_file(void **state)
{
    char id[128];
    (void)state;
    create("one", id, sizeof id);
    snprintf(trust, sizeof trust, "SSL_CERT_FILE=%s", live_certificate("other-ca.pem"));
    assert_true(strncmp(run_well("compiled_in_anchors", NULL, NULL)->out.ptr, "1 tokens, by ", 13) == 0);
}

static void event_loop_lists_twice_at_once(void **state)
{
    char id[128];
    (void)state;
    create("shared", id, sizeof id);
    assert_string_equal(run_well("event_loop", NULL, NULL)->out.ptr, "list 1: 1 tokens\nlist 2: 1 tokens\n");
}

static void event_loops_of_epoll_and_libuv_list(void **state)
{
    static const char *const names[] = {"epoll_loop", "libuv_loop"};
    char id[128];
    size_t i, ran = 0;
    (void)state;
    create("one", id, sizeof id);
    create("two", id, sizeof id);
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (is_built(names[i])) {
            assert_string_equal(run_well(names[i], NULL, NULL)->out.ptr, "2 tokens\n");
            ran++;
        } else {
            print_message("needs the library of %s\n", names[i]);
        }
    }
    if (ran == 0) {
        skip();
    }
}

static void worker_thread_hands_over_more_than_its_queue_holds(void **state)
{
    const char *more[] = {"--tokens", "50", NULL};
    struct live_server *server = live_start_emulator(TOKEN, more);
    struct live_process *process;
    (void)state;
    snprintf(endpoint, sizeof endpoint, "HATHORA_CLOUD_ENDPOINT=%s", server->url);
    process = run_well("worker_thread", NULL, NULL);
    assert_int_equal(live_count(&process->out, "\n"), 50);
    assert_string_equal(process->err.ptr, "");
}

/* examples/rotate.sh on the file, with these scopes. */
static struct live_process *rotate(const char *path, const char *url)
{
    const char *argv[] = {"sh", "examples/rotate.sh", path, "nightly", "tokens:read-write", "builds:read",
                          NULL};
    const char *env[] = {"HATHORA_ORG_ID=org-1", trust, NULL, NULL, NULL};
    char tool[300], target[128];
    struct live_command command;
    snprintf(tool, sizeof tool, "HATHORA_TOKENS=%s", live_tool());
    snprintf(target, sizeof target, "HATHORA_CLOUD_ENDPOINT=%s", url);
    env[2] = tool;
    env[3] = target;
    memset(&command, 0, sizeof command);
    command.argv = argv;
    command.env = env;
    return live_run(&command);
}

static void read_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, size, file));
    fclose(file);
}

static void rotate_replaces_the_token_and_revokes_what_came_before(void **state)
{
    const char *path = live_write_file("token", TOKEN "\n", sizeof TOKEN);
    const char *state_path = live_path("state");
    const char *lasting[] = {"--state", state_path, NULL};
    const char *failing[] = {"--state", state_path, "--fault", "op=list,status=500", NULL};
    struct live_server *server = live_start_emulator(TOKEN, lasting);
    struct live_process *process;
    char before[128], after[128];
    struct stat status;
    (void)state;
    snprintf(endpoint, sizeof endpoint, "HATHORA_CLOUD_ENDPOINT=%s", server->url);
    create("nightly-1-2-other", before, sizeof before);
    create("nightly", before, sizeof before);
    create("nightly-1-2", before, sizeof before);

    /* The first run finds one of its form, the second what the first made. */
    process = rotate(path, server->url);
    assert_int_equal(process->status, 0);
    assert_int_equal(live_count(&process->out, " revoked\n"), 1);
    read_line(path, before, sizeof before);
    assert_string_not_equal(before, TOKEN "\n");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    process = rotate(path, server->url);
    assert_int_equal(process->status, 0);
    assert_int_equal(live_count(&process->out, " revoked\n"), 1);
    read_line(path, before, sizeof before);

    /* A successor that does not work leaves the file alone; the next run clears it away too. */
    live_signal(server->process, SIGTERM);
    live_end(server->process);
    server = live_start_emulator(TOKEN, failing);
    process = rotate(path, server->url);
    assert_int_equal(process->status, 4);
    read_line(path, after, sizeof after);
    assert_string_equal(after, before);
    assert_int_not_equal(stat(live_path("token.new"), &status), 0);
    process = rotate(path, server->url);
    assert_int_equal(process->status, 0);
    assert_int_equal(live_count(&process->out, " revoked\n"), 2);
    read_line(path, after, sizeof after);
    assert_string_not_equal(after, before);

    /* What is not of this form is still there, beside the one in use. */
    snprintf(endpoint, sizeof endpoint, "HATHORA_CLOUD_ENDPOINT=%s", server->url);
    process = run_well("list_tokens", NULL, NULL);
    assert_int_equal(live_count(&process->out, "  active  "), 3);
    assert_true(live_contains(&process->out, "  active  nightly\n"));
    assert_true(live_contains(&process->out, "  active  nightly-1-2-other\n"));
}

static void rotate_says_what_it_lacks(void **state)
{
    const char *path = live_write_file("token", "not-the-token\n", 14);
    const char *argv[] = {"sh", "examples/rotate.sh", path, "nightly", NULL};
    struct live_command command;
    struct live_process *process;
    char line[128];
    (void)state;
    memset(&command, 0, sizeof command);
    command.argv = argv;
    process = live_run(&command);
    assert_int_equal(process->status, 2);
    assert_true(live_contains(&process->err, "usage: "));
    process = rotate(path, endpoint + strlen("HATHORA_CLOUD_ENDPOINT="));
    assert_int_equal(process->status, 3);
    assert_false(live_contains(&process->err, "not-the-token"));
    read_line(path, line, sizeof line);
    assert_string_equal(line, "not-the-token\n");
}

static void cpp_client_creates_finds_and_revokes(void **state)
{
    struct live_process *process = run_well("cpp_client", "from C++", NULL);
    (void)state;
    assert_true(live_contains(&process->out, ": listed, revoked\n"));
}

static void each_reports_a_refused_token(void **state)
{
    static const char *const names[][2] = {
        {"list_tokens", NULL}, {"create_token", "name"}, {"revoke_token", "id"},
        {"game_loop", NULL},   {"static_memory", NULL},  {"collect_list", NULL},
        {"event_loop", NULL},  {"cpp_client", NULL},     {"worker_thread", NULL},
        {"epoll_loop", NULL},  {"libuv_loop", NULL},     {"compiled_in_anchors", NULL}};
    size_t i;
    (void)state;
    token = "HATHORA_TOKEN=not-the-token";
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct live_process *process;
        if (!is_built(names[i][0])) {
            continue;
        }
        process = run(names[i][0], names[i][1], names[i][1] && i == 1 ? "tokens:read" : NULL, NULL);
        assert_int_equal(process->status, 1);
        assert_string_equal(process->out.ptr, "");
        assert_true(live_contains(&process->err, "401"));
        assert_false(live_contains(&process->err, "not-the-token"));
    }
}

static void each_reports_missing_options(void **state)
{
    static const char *const names[] = {"list_tokens", "game_loop",          "static_memory", "collect_list",
                                        "event_loop",  "cpp_client",         "worker_thread", "epoll_loop",
                                        "libuv_loop",  "compiled_in_anchors"};
    size_t i;
    (void)state;
    snprintf(endpoint, sizeof endpoint, "HATHORA_CLOUD_ENDPOINT=ftp://localhost");
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct live_process *process;
        if (!is_built(names[i])) {
            continue;
        }
        process = run(names[i], NULL, NULL, NULL);
        assert_int_equal(process->status, 1);
        assert_true(live_contains(&process->err, "server_url"));
    }
    assert_int_equal(run("create_token", "name", NULL, NULL)->status, 2);
    assert_int_equal(run("revoke_token", NULL, NULL, NULL)->status, 2);
    assert_int_equal(run("pinned_key", NULL, NULL, NULL)->status, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_emulator, live_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tokens_are_created_listed_and_revoked),
        TEST(game_loop_draws_while_it_lists),
        TEST(static_memory_lists_without_allocation),
        TEST(collect_list_grows_and_sorts),
        TEST(custom_transport_needs_no_network),
        TEST(bare_metal_needs_no_system),
        TEST(lwip_loop_needs_no_system_but_lwip),
        TEST(pinned_key_takes_the_leaf_or_its_issuer),
        TEST(compiled_in_anchors_trust_without_a_file),
        TEST(event_loop_lists_twice_at_once),
        TEST(cpp_client_creates_finds_and_revokes),
        TEST(event_loops_of_epoll_and_libuv_list),
        TEST(worker_thread_hands_over_more_than_its_queue_holds),
        TEST(rotate_replaces_the_token_and_revokes_what_came_before),
        TEST(rotate_says_what_it_lacks),
        TEST(each_reports_a_refused_token),
        TEST(each_reports_missing_options),
    };
    return cmocka_run_group_tests_name("examples", tests, NULL, NULL);
}
